-- Counts the members of an index between two ends.
--
-- KEYS: definition, index. ARGV: stamp, from, to. Answer: {'stale'} | {'ok', number}

local stored = redis.call('HMGET', KEYS[1], 'stamp', 'next')
if stored[2] or (stored[1] and stored[1] ~= ARGV[1]) then
    return { 'stale' }
end
return { 'ok', redis.call('ZLEXCOUNT', KEYS[2], ARGV[2], ARGV[3]) }
