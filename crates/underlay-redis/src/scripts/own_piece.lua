-- Notes who has the values of a piece of a tenant's entities, in columns that become unique. Each piece goes on where the
-- one before ended, whoever did that. Where two have a value, the extension ends: nothing but what it began is gone, and
-- the entities are stored by the definition they had.
--
-- KEYS: definition, ids, and of each column its unique values. The hashes are in the same slot; which they are the ids say.
-- ARGV: the stamp they get, what the keys of the hashes begin with, how many at most, the names of the columns.
-- Answer: {'gone'} | {'unique', column} | {'more'} | {'end'}

local stored = redis.call('HMGET', KEYS[1], 'next', 'owned')
if stored[1] ~= ARGV[1] then
    return { 'gone' }
end
local from = stored[2] and '(' .. stored[2] or '-'
local ids = redis.call('ZRANGE', KEYS[2], from, '+', 'BYLEX', 'LIMIT', 0, tonumber(ARGV[3]))
for _, id in ipairs(ids) do
    for at = 4, #ARGV do
        local owners = KEYS[at - 1]
        local value = redis.call('HGET', ARGV[2] .. id, ARGV[at])
        if value and redis.call('HSETNX', owners, value, id) == 0 and redis.call('HGET', owners, value) ~= id then
            redis.call('HDEL', KEYS[1], 'next', 'owned')
            for owner = 3, #KEYS do
                redis.call('UNLINK', KEYS[owner])
            end
            return { 'unique', ARGV[at] }
        end
    end
end
if #ids == 0 then
    return { 'end' }
end
redis.call('HSET', KEYS[1], 'owned', ids[#ids])
return { 'more' }
