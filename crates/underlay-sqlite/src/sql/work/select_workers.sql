SELECT
    id,
    expires_at
FROM workers
ORDER BY id
