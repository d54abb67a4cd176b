SELECT recorded_at
FROM events
WHERE position = ?1
