-- Reads hashes, all at one moment, behind what checks that they may be read.
--
-- KEYS from 2: the hashes. Answer: {'ok', at, mark, fields, fields, ...}

local answer = { 'ok', at, mark }
for number = 2, #KEYS do
    answer[number + 2] = redis.call('HGETALL', KEYS[number])
end
return answer
