-- Begins to bring the entities of a tenant to another definition. From now on nobody reads or writes them before that
-- has ended; whoever wants to, helps.
--
-- KEYS: definition, then what is made anew. ARGV: the stamp they have, the stamp they get. Answer: 1, or 0 where they
-- have another stamp.

local stored = redis.call('HMGET', KEYS[1], 'stamp', 'next')
if stored[1] ~= ARGV[1] then
    return 0
end
if stored[2] ~= ARGV[2] then
    redis.call('HDEL', KEYS[1], 'owned', 'filled')
    redis.call('HSET', KEYS[1], 'next', ARGV[2])
    -- What another extension, which did not come to its end, has left.
    for at = 2, #KEYS do
        redis.call('UNLINK', KEYS[at])
    end
end
return 1
