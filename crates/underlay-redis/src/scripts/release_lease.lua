-- Gives a lease back. What else is stored of it stays, so that the next holder has a higher term.
--
-- KEYS: lease. ARGV: term, id.

local stored = redis.call('HMGET', KEYS[1], 'term', 'id')
if stored[1] == ARGV[1] and stored[2] == ARGV[2] then
    redis.call('HDEL', KEYS[1], 'until')
end
return 1
