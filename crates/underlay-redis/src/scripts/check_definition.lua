-- Whether the entities of a tenant are stored by the definition that their reader knows. It goes before what reads them.
--
-- KEYS[1]: definition. ARGV[1]: stamp. Answer: {'stale'}, or what follows it answers.

local stored = redis.call('HMGET', KEYS[1], 'stamp', 'next')
if stored[2] or (stored[1] and stored[1] ~= ARGV[1]) then
    return { 'stale' }
end
local at, mark = '', ''

