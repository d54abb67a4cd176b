-- Takes a lease that nobody holds. Asked again, the same acquisition gets the same answer.
--
-- KEYS: lease. ARGV: now, microseconds that it lasts, holder, id of the acquisition. Answer: what is stored, or {} where
-- somebody else has it.

local now = microseconds(ARGV[1])
if is_held(KEYS[1], now) then
    return redis.call('HGET', KEYS[1], 'id') == ARGV[4] and lease_of(KEYS[1]) or {}
end
redis.call('HINCRBY', KEYS[1], 'term', 1)
redis.call('HSET', KEYS[1], 'holder', ARGV[3], 'id', ARGV[4], 'until', string.format('%.0f', now + ARGV[2]))
return lease_of(KEYS[1])
