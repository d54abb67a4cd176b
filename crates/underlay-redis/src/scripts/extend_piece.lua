-- Brings a piece of a tenant's entities to another definition. Doing it again changes nothing.
--
-- KEYS: definition, ids, and of each column that is found by from now on its index and its unique values, where it gets
--       them. The hashes are in the same slot; which they are the ids say.
-- ARGV: the stamp they get, what the keys of the hashes begin with, from, how many at most, an empty value, the number of
--       columns that are added, their names; the number of columns that get something, of each its name and what it gets
--       ('i' an index, 'u' unique values, 'iu' both).
-- Answer: {'gone'} | {'unique', column} | {'ok', last id or ''}

if redis.call('HGET', KEYS[1], 'next') ~= ARGV[1] then
    return { 'gone' }
end
local added, columns, argument, key = {}, {}, 6, 2
for _ = 1, tonumber(ARGV[argument]) do
    argument = argument + 1
    table.insert(added, ARGV[argument])
end
argument = argument + 1
for _ = 1, tonumber(ARGV[argument]) do
    local column = { name = ARGV[argument + 1] }
    local gets = ARGV[argument + 2]
    argument = argument + 2
    if string.find(gets, 'i', 1, true) then
        key = key + 1
        column.index = KEYS[key]
    end
    if string.find(gets, 'u', 1, true) then
        key = key + 1
        column.unique = KEYS[key]
    end
    table.insert(columns, column)
end

local ids = redis.call('ZRANGE', KEYS[2], ARGV[3], '+', 'BYLEX', 'LIMIT', 0, tonumber(ARGV[4]))
for _, id in ipairs(ids) do
    local hash = ARGV[2] .. id
    if redis.call('EXISTS', hash) == 1 then
        for _, name in ipairs(added) do
            redis.call('HSETNX', hash, name, ARGV[5])
        end
        for _, column in ipairs(columns) do
            local value = redis.call('HGET', hash, column.name)
            if value and column.unique then
                local owner = redis.call('HGET', column.unique, value)
                if owner and owner ~= id then
                    return { 'unique', column.name }
                end
                redis.call('HSET', column.unique, value, id)
            end
            if value and column.index then
                redis.call('ZADD', column.index, 0, value .. '\0' .. id)
            end
        end
    end
end
return { 'ok', ids[#ids] or '' }
