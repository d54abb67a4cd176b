-- Gives up a generation that is not read.
--
-- KEYS: view, discarded. ARGV: its number. Answer: {'ok'} | {'none'} | {'read'} | {'gone'}

redis.call('HLEN', KEYS[2])
local stored = redis.call('HMGET', KEYS[1], 'active', 'building', 'replaced')
local active, building, replaced = stored[1], stored[2], stored[3]
if not active then
    return { 'none' }
elseif active == ARGV[1] then
    return { 'read' }
elseif building == ARGV[1] then
    redis.call('HDEL', KEYS[1], 'building')
elseif replaced == ARGV[1] then
    redis.call('HDEL', KEYS[1], 'replaced', 'replaced_at')
else
    return { 'gone' }
end
discard(KEYS[1], KEYS[2], ARGV[1])
return { 'ok' }
