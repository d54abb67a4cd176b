INSERT INTO leases AS there (
    name,
    holder,
    term,
    id,
    expires_at
) VALUES ($1, $2, 1, $5, time_now($4) + $3)
ON CONFLICT (name) DO UPDATE SET
    holder = excluded.holder,
    term = there.term + 1,
    id = excluded.id,
    expires_at = excluded.expires_at
WHERE there.expires_at <= time_now($4)
RETURNING
    term,
    expires_at
