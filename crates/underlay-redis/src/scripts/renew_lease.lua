-- Holds a lease for longer.
--
-- KEYS: lease. ARGV: now, microseconds that it lasts from now on, term, id. Answer: what is stored, or {} where it is lost.

local now = microseconds(ARGV[1])
if not is_held(KEYS[1], now, ARGV[3], ARGV[4]) then
    return {}
end
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + ARGV[2]))
return lease_of(KEYS[1])
