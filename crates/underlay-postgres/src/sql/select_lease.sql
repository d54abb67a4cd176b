SELECT
    holder,
    term,
    id,
    expires_at
FROM leases
WHERE name = $1
    AND expires_at > time_now($2)
