-- Reads rows along an index, all at one moment, behind what checks that they may be read.
--
-- KEYS[2]: index. The hashes are in the same slot; which they are the index says.
-- ARGV from 3: what the keys of the hashes begin with, from, to, 'up' or 'down', how many at most, how many bytes end
--       the chunk, 'keys' where the index is that of the keys.
-- Answer: {'ok', at, mark, 'more' or 'end', member, fields, member, fields, ...}

local count = tonumber(ARGV[7])
local members
if ARGV[6] == 'up' then
    members = redis.call('ZRANGE', KEYS[2], ARGV[4], ARGV[5], 'BYLEX', 'LIMIT', 0, count)
else
    members = redis.call('ZRANGE', KEYS[2], ARGV[5], ARGV[4], 'BYLEX', 'REV', 'LIMIT', 0, count)
end
local answer = { 'ok', at, mark, #members < count and 'end' or 'more' }
local bytes, bytes_max = 0, tonumber(ARGV[8])
for number, member in ipairs(members) do
    local key = member
    if ARGV[9] ~= 'keys' then
        key = string.sub(member, string.find(member, '\0', 1, true) + 1)
    end
    local fields = redis.call('HGETALL', ARGV[3] .. key)
    table.insert(answer, member)
    table.insert(answer, fields)
    for _, field in ipairs(fields) do
        bytes = bytes + #field
    end
    if bytes >= bytes_max and number < #members then
        answer[4] = 'more'
        break
    end
end
return answer
