-- Skips the event that a generation is stopped at, where the view is still as it was read.
--
-- KEYS: view, skipped. ARGV: generation, its stop, the number of events that were skipped, the event, what is kept of it.
-- Answer: 1, or 0 where it is not as it was read.

local stored = redis.call('HMGET', KEYS[1], 'active', 'building', ARGV[1] .. '.stop')
local answers = stored[1] == ARGV[1] or stored[2] == ARGV[1]
if not answers or stored[3] ~= ARGV[2] or redis.call('HLEN', KEYS[2]) ~= tonumber(ARGV[3]) then
    return 0
end
redis.call('HSET', KEYS[2], ARGV[4], ARGV[5])
redis.call('HDEL', KEYS[1], ARGV[1] .. '.stop')
return 1
