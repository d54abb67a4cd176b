-- Stores a batch of changes to rows with the checkpoint that it leads to, or nothing of it. It goes behind reindex.lua and
-- hold.lua, and before what asks for it.
--
-- KEYS: view, tenants, parked, skipped, lease.
-- ARGV: generation, fingerprint, term of the lease ('' none), its id, now, from, to, stop ('' none), the event that it stops
--       at ('' none), what the keys of all rows begin with, the number of columns, of each its name and what it has ('-', or
--       'i' an index); the number of events that were passed over, of each its position, its id, its text;
--       the number of changes, of each tenant, key, what it is, and for 'put' a value for each column, for 'patch' the number
--       of columns, of each its place and the value, for 'delete' nothing.
-- Answer: nil where it is stored, or {'lease'} | {'gone'} | {'moved'} | {'missing', change} | {'damaged', change, column}.
--
-- Everything that can fail comes before the first write: each key is read once, so that one of another type is told
-- before anything is written. A server without memory refuses the first write, and none after it.

local argument = 10
local function next_argument()
    argument = argument + 1
    return ARGV[argument]
end

local function read_columns()
    local columns = { indexed = {}, names = {} }
    for place = 1, tonumber(next_argument()) do
        columns[place] = next_argument()
        if next_argument() == 'i' then
            table.insert(columns.indexed, place)
            table.insert(columns.names, columns[place])
        end
    end
    return columns
end

local function read_parked()
    local parked = {}
    for number = 1, tonumber(next_argument()) do
        parked[number] = { position = next_argument(), id = next_argument(), text = next_argument() }
    end
    redis.call('ZCARD', KEYS[3])
    return parked
end

-- The rows of a tenant, whose keys are read once.
local function rows_of(name, columns)
    local all = ARGV[10] .. name .. ':'
    local tenant = { name = name, mark = all .. 'm', keys = all .. 'k', hash = all .. 'e:', indexes = {} }
    redis.call('ZCARD', tenant.keys)
    for number, column in ipairs(columns.names) do
        tenant.indexes[number] = all .. 'i:' .. column
        redis.call('ZCARD', tenant.indexes[number])
    end
    return tenant
end

-- The changes, or what is wrong with one of them.
local function read_changes(columns)
    local changes, tenants = {}, {}
    for number = 1, tonumber(next_argument()) do
        local name = next_argument()
        tenants[name] = tenants[name] or rows_of(name, columns)
        local change = { tenant = tenants[name], key = next_argument(), what = next_argument(), new = {}, old = {} }
        change.hash = change.tenant.hash .. change.key
        if change.what == 'put' then
            for place = 1, #columns do
                change.new[place] = next_argument()
            end
        elseif change.what == 'patch' then
            for _ = 1, tonumber(next_argument()) do
                local place = tonumber(next_argument())
                change.new[place] = next_argument()
            end
        end
        change.is_there = redis.call('HLEN', change.hash) > 0
        if change.what == 'patch' and not change.is_there then
            return nil, nil, { 'missing', tostring(number) }
        end
        if change.is_there and #columns.names > 0 then
            change.old = redis.call('HMGET', change.hash, unpack(columns.names))
            for at, old in ipairs(change.old) do
                if not old then
                    return nil, nil, { 'damaged', tostring(number), columns.names[at] }
                end
            end
        end
        changes[number] = change
    end
    redis.call('ZCARD', KEYS[2])
    return changes, tenants
end

local function write(change, columns)
    for number, place in ipairs(columns.indexed) do
        local old, new = change.old[number], change.new[place]
        if new or change.what == 'delete' then
            reindex(change.tenant.indexes[number], change.key, old, new)
        end
    end
    if change.what == 'delete' then
        redis.call('DEL', change.hash)
        redis.call('ZREM', change.tenant.keys, change.key)
        return
    end
    local fields = {}
    for place, column in ipairs(columns) do
        if change.new[place] then
            table.insert(fields, column)
            table.insert(fields, change.new[place])
        end
    end
    if #columns == 0 then
        -- A hash has a field, also of a row that has no column.
        fields = { '', '-' }
    end
    if #fields > 0 then
        redis.call('HSET', change.hash, unpack(fields))
    end
    if not change.is_there then
        redis.call('ZADD', change.tenant.keys, 0, change.key)
    end
end

local function store_batch()
    local generation = ARGV[1]
    if ARGV[3] ~= '' and not is_held(KEYS[5], microseconds(ARGV[5]), ARGV[3], ARGV[4]) then
        return { 'lease' }
    end
    local fingerprint, checkpoint = generation .. '.fingerprint', generation .. '.checkpoint'
    local stored = redis.call('HMGET', KEYS[1], 'active', 'building', fingerprint, checkpoint)
    if (stored[1] ~= generation and stored[2] ~= generation) or stored[3] ~= ARGV[2] then
        return { 'gone' }
    end
    if stored[4] ~= ARGV[6] or (ARGV[9] ~= '' and redis.call('HEXISTS', KEYS[4], ARGV[9]) == 1) then
        return { 'moved' }
    end
    local columns, parked = read_columns(), read_parked()
    local changes, tenants, wrong = read_changes(columns)
    if wrong then
        return wrong
    end

    for _, change in ipairs(changes) do
        write(change, columns)
    end
    for name, tenant in pairs(tenants) do
        if redis.call('ZCARD', tenant.keys) > 0 then
            redis.call('ZADD', KEYS[2], 0, name)
            redis.call('SET', tenant.mark, ARGV[7])
        else
            redis.call('ZREM', KEYS[2], name)
            redis.call('DEL', tenant.mark)
        end
    end
    for _, event in ipairs(parked) do
        redis.call('ZREMRANGEBYLEX', KEYS[3], '[' .. event.position .. '\0', '(' .. event.position .. '\1')
        redis.call('ZADD', KEYS[3], 0, event.position .. '\0' .. event.id .. '\0' .. event.text)
    end
    redis.call('HSET', KEYS[1], checkpoint, ARGV[7])
    if ARGV[8] ~= '' then
        redis.call('HSET', KEYS[1], generation .. '.stop', ARGV[8])
    else
        redis.call('HDEL', KEYS[1], generation .. '.stop')
    end
end

