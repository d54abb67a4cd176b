-- Stores the changes of a unit, or none of them.
--
-- KEYS: of each kind of entity: definition, ids, and of each column its index and its unique values, where it has them;
--       then the hash of each change.
-- ARGV: the number of kinds; of each: stamp, text of the definition, the number of columns, and of each column its name
--       and what it has ('-', 'i' an index, 'u' an index and unique values);
--       then the number of changes; of each: its kind, 'create', 'update' or 'delete', id, the version expected ('' any),
--       the version after; and unless it is removed a value for each column ('' keeps the one there is).
-- Answer: {'ok'} | {'stale', kind} | {'version', change, version or ''} | {'damaged', change, column}
--       | {'unique', change, column}. Only the first has stored anything.
--
-- Everything that can fail comes before the first write: each key is read once, so that one of another type is told
-- before anything is written. A server without memory refuses the first write, and none after it.

local argument, key = 0, 0
local function next_argument()
    argument = argument + 1
    return ARGV[argument]
end
local function next_key()
    key = key + 1
    return KEYS[key]
end

local kinds = {}
for number = 1, tonumber(next_argument()) do
    local kind = { definition = next_key(), ids = next_key(), columns = {}, indexed = {}, fields = { 'version' } }
    kind.stamp, kind.text = next_argument(), next_argument()
    for place = 1, tonumber(next_argument()) do
        local column = { name = next_argument(), has = next_argument(), place = place }
        if column.has ~= '-' then
            column.index = next_key()
            redis.call('ZCARD', column.index)
            table.insert(kind.indexed, column)
            table.insert(kind.fields, column.name)
        end
        if column.has == 'u' then
            column.unique = next_key()
            redis.call('HLEN', column.unique)
        end
        kind.columns[place] = column
    end
    local stored = redis.call('HMGET', kind.definition, 'stamp', 'next')
    if stored[2] or (stored[1] and stored[1] ~= kind.stamp) then
        return { 'stale', tostring(number) }
    end
    kind.is_new = not stored[1]
    redis.call('ZCARD', kind.ids)
    kinds[number] = kind
end

local changes = {}
for number = 1, tonumber(next_argument()) do
    local change = { kind = kinds[tonumber(next_argument())], key = next_key(), new = {}, old = {} }
    change.what, change.id = next_argument(), next_argument()
    change.expected, change.after = next_argument(), next_argument()
    local found = redis.call('HMGET', change.key, unpack(change.kind.fields))
    change.actual = found[1]
    if change.what ~= 'delete' then
        for place = 1, #change.kind.columns do
            change.new[place] = next_argument()
        end
    end
    if not change.actual and redis.call('EXISTS', change.key) == 1 then
        return { 'damaged', tostring(number), 'version' }
    end
    local fits = change.actual
    if change.what == 'create' then
        fits = not change.actual
    elseif change.expected ~= '' then
        fits = change.actual == change.expected
    end
    if not fits then
        return { 'version', tostring(number), change.actual or '' }
    end
    for at, column in ipairs(change.kind.indexed) do
        local old = found[at + 1]
        if change.actual and not old then
            return { 'damaged', tostring(number), column.name }
        end
        change.old[column.place] = old
        if change.new[column.place] == '' then
            change.new[column.place] = old
        end
    end
    changes[number] = change
end

-- What is given up is free for another of the unit.
local free, taken = {}, {}
for _, change in ipairs(changes) do
    for _, column in ipairs(change.kind.indexed) do
        local old = change.old[column.place]
        if column.unique and old then
            free[column.unique .. '\0' .. old] = true
        end
    end
end
for number, change in ipairs(changes) do
    for _, column in ipairs(change.kind.indexed) do
        local new = change.new[column.place]
        if column.unique and new then
            local place = column.unique .. '\0' .. new
            local owner = redis.call('HGET', column.unique, new)
            if taken[place] or (owner and owner ~= change.id and not free[place]) then
                return { 'unique', tostring(number), column.name }
            end
            taken[place] = true
        end
    end
end

for _, kind in ipairs(kinds) do
    if kind.is_new then
        redis.call('HSET', kind.definition, 'stamp', kind.stamp, 'text', kind.text)
    end
end
for _, change in ipairs(changes) do
    for _, column in ipairs(change.kind.indexed) do
        local old = change.old[column.place]
        if column.unique and old and old ~= change.new[column.place] then
            redis.call('HDEL', column.unique, old)
        end
    end
end
for _, change in ipairs(changes) do
    for _, column in ipairs(change.kind.indexed) do
        reindex(column.index, change.id, change.old[column.place], change.new[column.place])
    end
    if change.what == 'delete' then
        redis.call('ZREM', change.kind.ids, change.id)
        redis.call('DEL', change.key)
    else
        local fields = { 'version', change.after }
        for place, column in ipairs(change.kind.columns) do
            local new = change.new[place]
            if new ~= '' then
                table.insert(fields, column.name)
                table.insert(fields, new)
            end
            if column.unique and new ~= change.old[place] then
                redis.call('HSET', column.unique, new, change.id)
            end
        end
        redis.call('HSET', change.key, unpack(fields))
        if not change.actual then
            redis.call('ZADD', change.kind.ids, 0, change.id)
        end
    end
end
return { 'ok' }
