-- Brings an index from the value that a row had in its column to the one it has; either may be none. It goes before what
-- changes rows.

local function reindex(index, key, old, new)
    if old and old ~= new then
        redis.call('ZREM', index, old .. '\0' .. key)
    end
    if new and new ~= old then
        redis.call('ZADD', index, 0, new .. '\0' .. key)
    end
end

