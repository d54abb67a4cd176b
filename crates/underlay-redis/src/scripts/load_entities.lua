-- Reads entities by their ids, all at one moment.
--
-- KEYS: definition, then the hashes. ARGV: stamp. Answer: {'stale'} | {'ok', fields, fields, ...}

local stored = redis.call('HMGET', KEYS[1], 'stamp', 'next')
if stored[2] or (stored[1] and stored[1] ~= ARGV[1]) then
    return { 'stale' }
end
local answer = { 'ok' }
for at = 2, #KEYS do
    answer[at] = redis.call('HGETALL', KEYS[at])
end
return answer
