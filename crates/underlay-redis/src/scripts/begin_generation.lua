-- Begins a generation: the first of a view, or one that is built beside the one that is read.
--
-- KEYS: view, views, discarded. ARGV: 'first' or 'next', name, fingerprint, definition, indexed columns, checkpoint.
-- Answer: {'begun', number} | {'there', number, fingerprint, definition} | {'none'}

redis.call('SCARD', KEYS[2])
redis.call('HLEN', KEYS[3])
local stored = redis.call('HMGET', KEYS[1], 'active', 'building')
local active, building = stored[1], stored[2]
if ARGV[1] == 'first' and active then
    local built = redis.call('HMGET', KEYS[1], active .. '.fingerprint', active .. '.definition')
    return { 'there', active, built[1] or '', built[2] or '' }
end
if ARGV[1] == 'next' and not active then
    return { 'none' }
end
local number = tostring(redis.call('HINCRBY', KEYS[1], 'last', 1))
if building then
    discard(KEYS[1], KEYS[3], building)
end
local state = ARGV[1] == 'first' and 'active' or 'building'
redis.call('HSET', KEYS[1], state, number, number .. '.fingerprint', ARGV[3], number .. '.definition', ARGV[4])
redis.call('HSET', KEYS[1], number .. '.indexed', ARGV[5], number .. '.checkpoint', ARGV[6])
redis.call('SADD', KEYS[2], ARGV[2])
return { 'begun', number }
