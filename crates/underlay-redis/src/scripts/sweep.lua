-- Removes a piece of what a discarded generation has left.
--
-- KEYS: discarded. What else is removed is in the same slot.
-- ARGV: how many rows at most; what the keys of rows, of tenants, of what was passed over begin with.
-- Answer: {'all'} | {'piece'}

local most, rows, tenants, parked = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local generation = redis.call('HKEYS', KEYS[1])[1]
if not generation then
    return { 'all' }
end
local indexed = redis.call('HGET', KEYS[1], generation)
while most > 0 do
    local tenant = redis.call('ZRANGE', tenants .. generation, 0, 0)[1]
    if not tenant then
        redis.call('UNLINK', parked .. generation)
        redis.call('HDEL', KEYS[1], generation)
        break
    end
    local all = rows .. generation .. ':' .. tenant .. ':'
    local keys = redis.call('ZRANGE', all .. 'k', 0, most - 1)
    for _, key in ipairs(keys) do
        redis.call('UNLINK', all .. 'e:' .. key)
    end
    if #keys > 0 then
        redis.call('ZREMRANGEBYRANK', all .. 'k', 0, #keys - 1)
    end
    if redis.call('ZCARD', all .. 'k') == 0 then
        for column in string.gmatch(indexed, '[^,]+') do
            redis.call('UNLINK', all .. 'i:' .. column)
        end
        redis.call('UNLINK', all .. 'm')
        redis.call('ZREM', tenants .. generation, tenant)
    end
    most = most - #keys - 1
end
return { 'piece' }
