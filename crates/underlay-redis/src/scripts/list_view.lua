-- What there is of a view, at one moment.
--
-- KEYS: view, skipped, discarded. ARGV: its name, what the keys of the events begin with that its generations passed over.
-- Answer: {fields of the view, the events that were skipped, the number of generations to be swept,
--          of each generation {number, events that were passed over, how many of these were skipped}, ...}

local name = ARGV[1] .. ':'
local discarded = 0
for _, generation in ipairs(redis.call('HKEYS', KEYS[3])) do
    if string.sub(generation, 1, #name) == name then
        discarded = discarded + 1
    end
end
local skipped = redis.call('HKEYS', KEYS[2])
local answer = { redis.call('HGETALL', KEYS[1]), redis.call('HVALS', KEYS[2]), discarded }
for _, number in ipairs(redis.call('HMGET', KEYS[1], 'active', 'building', 'replaced')) do
    if number then
        local parked, both = ARGV[2] .. name .. number, 0
        for _, event in ipairs(skipped) do
            both = both + redis.call('ZLEXCOUNT', parked, '[' .. event .. '\0', '(' .. event .. '\1')
        end
        table.insert(answer, { number, redis.call('ZCARD', parked), both })
    end
end
return answer
