-- Brings a piece of a tenant's entities to another definition, once their unique values are noted. Each piece goes on
-- where the one before ended, whoever did that.
--
-- KEYS: definition, ids, and of each column that gets an index that. The hashes are in the same slot; which they are the
--       ids say.
-- ARGV: the stamp they get, what the keys of the hashes begin with, how many at most, an empty value, the number of
--       columns that are added, their names, the names of the columns that get an index.
-- Answer: {'gone'} | {'more'} | {'end'}

local stored = redis.call('HMGET', KEYS[1], 'next', 'filled')
if stored[1] ~= ARGV[1] then
    return { 'gone' }
end
local added = tonumber(ARGV[5])
local from = stored[2] and '(' .. stored[2] or '-'
local ids = redis.call('ZRANGE', KEYS[2], from, '+', 'BYLEX', 'LIMIT', 0, tonumber(ARGV[3]))
for _, id in ipairs(ids) do
    local hash = ARGV[2] .. id
    if redis.call('EXISTS', hash) == 1 then
        for at = 6, 5 + added do
            redis.call('HSETNX', hash, ARGV[at], ARGV[4])
        end
        for at = 6 + added, #ARGV do
            local value = redis.call('HGET', hash, ARGV[at])
            if value then
                redis.call('ZADD', KEYS[at - 3 - added], 0, value .. '\0' .. id)
            end
        end
    end
end
if #ids == 0 then
    return { 'end' }
end
redis.call('HSET', KEYS[1], 'filled', ids[#ids])
return { 'more' }
