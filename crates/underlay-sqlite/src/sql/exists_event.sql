SELECT 1
FROM events
WHERE tenant = ?1
    AND event_id = ?2
