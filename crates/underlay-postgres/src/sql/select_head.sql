SELECT
    position,
    event_id
FROM events
ORDER BY position DESC
LIMIT 1
