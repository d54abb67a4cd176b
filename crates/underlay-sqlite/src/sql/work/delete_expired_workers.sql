DELETE FROM workers
WHERE expires_at <= ?1
