-- Makes the generation that was replaced the one that is read again.
--
-- KEYS: view. ARGV: fingerprint, the time. Answer: {'ok', number} | {'none'} | {'unkept'} | {'changed', definition}

local stored = redis.call('HMGET', KEYS[1], 'active', 'replaced')
local active, replaced = stored[1], stored[2]
if not active then
    return { 'none' }
end
if not replaced then
    return { 'unkept' }
end
if redis.call('HGET', KEYS[1], replaced .. '.fingerprint') ~= ARGV[1] then
    return { 'changed', redis.call('HGET', KEYS[1], replaced .. '.definition') or '' }
end
redis.call('HSET', KEYS[1], 'active', replaced, 'replaced', active, 'replaced_at', ARGV[2])
return { 'ok', replaced }
