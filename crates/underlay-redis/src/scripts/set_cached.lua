#!lua
-- Keeps values in a cache. A tag that has no mark gets one, and each mark stays at least as long as the value.
--
-- KEYS: the mark of the tenant; then of each value its own key and the marks of its tags.
-- ARGV: a mark that nobody has, the number of values; then of each value the value, milliseconds, the number of its tags,
--       the tags.
-- By its first line, a server without memory refuses it whole.

local argument, key = 2, 1
local function next_argument()
    argument = argument + 1
    return ARGV[argument]
end
local function next_key()
    key = key + 1
    return KEYS[key]
end
local function mark(name, milliseconds)
    local there = redis.call('GET', name)
    if not there then
        redis.call('SET', name, ARGV[1], 'PX', milliseconds)
        return ARGV[1]
    end
    redis.call('PEXPIRE', name, milliseconds, 'GT')
    return there
end

for _ = 1, tonumber(ARGV[2]) do
    local name, value, milliseconds = next_key(), next_argument(), next_argument()
    local everything, tags, marks = mark(KEYS[1], milliseconds), {}, {}
    for _ = 1, tonumber(next_argument()) do
        table.insert(tags, next_argument())
        table.insert(marks, mark(next_key(), milliseconds))
    end
    redis.call('DEL', name)
    redis.call('HSET', name, 'value', value, 'everything', everything)
    redis.call('HSET', name, 'tags', table.concat(tags, '\0'), 'marks', table.concat(marks, '\0'))
    redis.call('PEXPIRE', name, milliseconds)
end
return 1
