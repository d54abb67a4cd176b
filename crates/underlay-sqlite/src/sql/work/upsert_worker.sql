INSERT INTO workers (
    id,
    holder,
    expires_at,
    scheduler
) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (id) DO UPDATE SET
    holder = excluded.holder,
    expires_at = excluded.expires_at,
    scheduler = excluded.scheduler
