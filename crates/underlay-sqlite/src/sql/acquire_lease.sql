INSERT INTO leases (
    name,
    holder,
    term,
    id,
    expires_at
) VALUES (?1, ?2, 1, ?3, ?4)
ON CONFLICT (name) DO UPDATE SET
    holder = excluded.holder,
    term = leases.term + 1,
    id = excluded.id,
    expires_at = excluded.expires_at
WHERE leases.expires_at <= ?5
RETURNING term
