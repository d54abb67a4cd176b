-- Reads the events that a generation has passed over, behind what checks that it answers.
--
-- KEYS[2]: parked. ARGV from 3: the position they are above, how many at most. Answer: {'ok', at, mark, event, ...}

local answer = { 'ok', at, mark }
local found = redis.call('ZRANGE', KEYS[2], '[' .. ARGV[3] .. '\1', '+', 'BYLEX', 'LIMIT', 0, tonumber(ARGV[4]))
for number, event in ipairs(found) do
    answer[number + 3] = event
end
return answer
