-- Finds values of a cache. One is there while every tag it was set with, and its tenant, still has the mark it had then.
--
-- KEYS: the mark of the tenant, then the values. The marks of tags are in the same slot; which they are the values say.
-- ARGV: what the keys of the tags begin with, 'values' or 'exists'.
-- Answer: of each key its value, the milliseconds that are left of it and its tags; or 1 where only that is asked; or nil.

local everything = redis.call('GET', KEYS[1])
local answer = {}
for at = 2, #KEYS do
    local kept = redis.call('HMGET', KEYS[at], 'everything', 'tags', 'marks')
    local valid = everything and kept[1] == everything
    if valid and kept[2] ~= '' then
        local marks = string.gmatch(kept[3], '[^%z]+')
        for tag in string.gmatch(kept[2], '[^%z]+') do
            valid = valid and redis.call('GET', ARGV[1] .. tag) == marks()
        end
    end
    if not valid then
        answer[at - 1] = false
    elseif ARGV[2] == 'exists' then
        answer[at - 1] = 1
    else
        answer[at - 1] = { redis.call('HGET', KEYS[at], 'value'), redis.call('PTTL', KEYS[at]), kept[2] }
    end
end
return answer
