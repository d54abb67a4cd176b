-- Reads rows of all tenants, in the order of tenants and keys, behind what checks that their generation answers.
--
-- KEYS[2]: tenants. The rows are in the same slot.
-- ARGV from 3: what the keys of all rows begin with, the tenant and the key they are above ('' the first), how many at most,
--       how many bytes end the page.
-- Answer: {'ok', at, mark, 'more' or 'end', tenant, key, fields, ...}

local above, most, bytes_max = ARGV[4], tonumber(ARGV[6]), tonumber(ARGV[7])
local answer, count, bytes = { 'ok', at, mark, 'end' }, 0, 0
local from = above == '' and '-' or '[' .. above
while true do
    local tenant = redis.call('ZRANGE', KEYS[2], from, '+', 'BYLEX', 'LIMIT', 0, 1)[1]
    if not tenant then
        return answer
    end
    from = '(' .. tenant
    local all = ARGV[3] .. tenant .. ':'
    local first = tenant == above and '(' .. ARGV[5] or '-'
    -- One more than there is room for says that another page follows.
    for _, key in ipairs(redis.call('ZRANGE', all .. 'k', first, '+', 'BYLEX', 'LIMIT', 0, most - count + 1)) do
        if count == most or bytes >= bytes_max then
            answer[4] = 'more'
            return answer
        end
        local fields = redis.call('HGETALL', all .. 'e:' .. key)
        table.insert(answer, tenant)
        table.insert(answer, key)
        table.insert(answer, fields)
        count, bytes = count + 1, bytes + #key
        for _, field in ipairs(fields) do
            bytes = bytes + #field
        end
    end
end
