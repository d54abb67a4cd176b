-- Ends what begin_extension.lua began.
--
-- KEYS: definition, then what is not needed any more. ARGV: the stamp they get, the text of the definition. Answer: 1, or
-- 0 where somebody else has ended it.

if redis.call('HGET', KEYS[1], 'next') ~= ARGV[1] then
    return 0
end
for at = 2, #KEYS do
    redis.call('UNLINK', KEYS[at])
end
redis.call('HSET', KEYS[1], 'stamp', ARGV[1], 'text', ARGV[2])
redis.call('HDEL', KEYS[1], 'next', 'owned', 'filled')
return 1
