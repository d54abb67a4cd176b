-- Takes a generation out of a view. What it has left is to be swept. It goes before what does so.

local function discard(view, discarded, number)
    local name = string.match(view, '[^:]+$')
    redis.call('HSET', discarded, name .. ':' .. number, redis.call('HGET', view, number .. '.indexed') or '')
    for _, field in ipairs({ 'fingerprint', 'definition', 'indexed', 'checkpoint', 'stop' }) do
        redis.call('HDEL', view, number .. '.' .. field)
    end
end

