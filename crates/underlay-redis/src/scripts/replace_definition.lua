-- Replaces the definition of an entity, where it is still the one that was read.
--
-- KEYS: definitions. ARGV: entity, the text that was read ('' none), the new one. Answer: 1, or 0.

local stored = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if stored ~= ARGV[2] then
    return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
