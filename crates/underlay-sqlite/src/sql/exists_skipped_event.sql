SELECT 1
FROM skipped_events
WHERE name = ?1
    AND position = ?2
    AND event_id = ?3
