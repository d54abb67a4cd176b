INSERT INTO workers (
    id,
    holder,
    expires_at
) VALUES (?1, ?2, ?3)
ON CONFLICT (id) DO UPDATE SET
    holder = excluded.holder,
    expires_at = excluded.expires_at
