-- Reads entities along an index, all at one moment.
--
-- KEYS: definition, index. The hashes are in the same slot; which they are the index says.
-- ARGV: stamp, what the keys of the hashes begin with, from, to, 'up' or 'down', how many at most, how many bytes end
--       the chunk, 'ids' where the index is that of the ids.
-- Answer: {'stale'} | {'ok', 'more' or 'end', member, fields, member, fields, ...}

local stored = redis.call('HMGET', KEYS[1], 'stamp', 'next')
if stored[2] or (stored[1] and stored[1] ~= ARGV[1]) then
    return { 'stale' }
end
local count = tonumber(ARGV[6])
local members
if ARGV[5] == 'up' then
    members = redis.call('ZRANGE', KEYS[2], ARGV[3], ARGV[4], 'BYLEX', 'LIMIT', 0, count)
else
    members = redis.call('ZRANGE', KEYS[2], ARGV[4], ARGV[3], 'BYLEX', 'REV', 'LIMIT', 0, count)
end
local answer = { 'ok', #members < count and 'end' or 'more' }
local bytes, bytes_max = 0, tonumber(ARGV[7])
for at, member in ipairs(members) do
    local id = member
    if ARGV[8] ~= 'ids' then
        id = string.sub(member, string.find(member, '\0', 1, true) + 1)
    end
    local fields = redis.call('HGETALL', ARGV[2] .. id)
    table.insert(answer, member)
    table.insert(answer, fields)
    for _, field in ipairs(fields) do
        bytes = bytes + #field
    end
    if bytes >= bytes_max and at < #members then
        answer[2] = 'more'
        break
    end
end
return answer
