-- Makes the generation that is built the one that is read, in one step with its last changes. It goes behind
-- store_batch.lua and discard.lua.
--
-- KEYS: those of a batch, discarded. ARGV: those of a batch, in which 'from' is '' where there are no last changes; then the
--       number that the order must have ('' any), the position the one that is read may have come to ('' any), the time.
-- Answer: {'ok'} | {'beyond'} | {'order'}, or why the last changes are not stored. Only the first has stored anything.

local generation, order, beyond, at = ARGV[1], ARGV[#ARGV - 2], ARGV[#ARGV - 1], ARGV[#ARGV]
redis.call('HLEN', KEYS[6])
local stored = redis.call('HMGET', KEYS[1], 'active', 'building', 'replaced', 'order')
local active, building, replaced = stored[1], stored[2], stored[3]
if not active or building ~= generation then
    return { 'gone' }
end
if order ~= '' and (stored[4] or '0') ~= order then
    return { 'order' }
end
local position = string.sub(redis.call('HGET', KEYS[1], active .. '.checkpoint'), 1, 16)
if beyond ~= '' and position > beyond then
    return { 'beyond' }
end
if ARGV[6] ~= '' then
    local refused = store_batch()
    if refused then
        return refused
    end
end
if replaced then
    discard(KEYS[1], KEYS[6], replaced)
end
redis.call('HSET', KEYS[1], 'active', generation, 'replaced', active, 'replaced_at', at)
redis.call('HDEL', KEYS[1], 'building')
return { 'ok' }
