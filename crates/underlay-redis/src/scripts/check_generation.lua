-- Whether a generation of a view answers. It goes before what reads its rows.
--
-- KEYS[1]: view. ARGV[1]: generation, ARGV[2]: the key that is set whenever rows of the tenant change, or ''.
-- Answer: {'stale'}, or what follows it answers, with where the generation is, and what that key has.

local stored = redis.call('HMGET', KEYS[1], 'active', 'building', ARGV[1] .. '.checkpoint')
if stored[1] ~= ARGV[1] and stored[2] ~= ARGV[1] then
    return { 'stale' }
end
local at, mark = stored[3], ''
if ARGV[2] ~= '' then
    mark = redis.call('GET', ARGV[2]) or ''
end

