-- The time, and whether a lease is held. It goes before what asks either.

-- The microseconds since 1970: those that are given, or '' for those of the server.
local function microseconds(given)
    if given ~= '' then
        return tonumber(given)
    end
    local time = redis.call('TIME')
    return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- Whether a lease is held, and by this term where one is given.
local function is_held(lease, now, term, id)
    local stored = redis.call('HMGET', lease, 'until', 'term', 'id')
    local held = stored[1] and tonumber(stored[1]) > now
    return held and (not term or (stored[2] == term and stored[3] == id))
end

-- What is stored of a lease.
local function lease_of(lease)
    return redis.call('HMGET', lease, 'holder', 'term', 'id', 'until')
end

