-- Looks for indexes of a generation that have another number of rows than there are, behind what checks that it answers.
--
-- KEYS[2]: tenants. ARGV from 3: what the keys of all rows begin with, the tenant they are above ('' the first), how many
--       tenants at most, indexed columns. Answer: {'ok', at, mark, the last tenant or '', tenant, column, members, rows, ...}

local from = ARGV[4] == '' and '-' or '(' .. ARGV[4]
local tenants = redis.call('ZRANGE', KEYS[2], from, '+', 'BYLEX', 'LIMIT', 0, tonumber(ARGV[5]))
local answer = { 'ok', at, mark, tenants[#tenants] or '' }
for _, tenant in ipairs(tenants) do
    local all = ARGV[3] .. tenant .. ':'
    local rows = redis.call('ZCARD', all .. 'k')
    for number = 6, #ARGV do
        local members = redis.call('ZCARD', all .. 'i:' .. ARGV[number])
        if members ~= rows then
            for _, told in ipairs({ tenant, ARGV[number], members, rows }) do
                table.insert(answer, told)
            end
        end
    end
end
return answer
