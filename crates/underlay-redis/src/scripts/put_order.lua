-- Stores what is ordered of a view, in place of the order with the number that is known.
--
-- KEYS: view. ARGV: the number that is known, the next, the order. Answer: {'ok'} | {'none'} | {'order'}

local stored = redis.call('HMGET', KEYS[1], 'active', 'order')
if not stored[1] then
    return { 'none' }
end
if (stored[2] or '0') ~= ARGV[1] then
    return { 'order' }
end
redis.call('HSET', KEYS[1], 'order', ARGV[2], 'order_body', ARGV[3])
return { 'ok' }
