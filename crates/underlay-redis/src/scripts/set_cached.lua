-- Keeps a value in a cache. A tag that has no mark gets one, and each mark stays at least as long as the value.
--
-- KEYS: the value, the mark of the tenant, the marks of its tags.
-- ARGV: value, milliseconds, a mark that nobody has, the tags.

local function mark(key)
    local there = redis.call('GET', key)
    if not there then
        redis.call('SET', key, ARGV[3], 'PX', ARGV[2])
        return ARGV[3]
    end
    redis.call('PEXPIRE', key, ARGV[2], 'GT')
    return there
end

local everything, tags, marks = mark(KEYS[2]), {}, {}
for at = 3, #KEYS do
    table.insert(tags, ARGV[at + 1])
    table.insert(marks, mark(KEYS[at]))
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'value', ARGV[1], 'everything', everything)
redis.call('HSET', KEYS[1], 'tags', table.concat(tags, '\0'), 'marks', table.concat(marks, '\0'))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
