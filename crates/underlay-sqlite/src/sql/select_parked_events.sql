SELECT
    tenant,
    position,
    stream,
    version,
    event_id,
    reason
FROM parked_events
WHERE name = ?1
    AND generation = ?2
    AND position > ?3
ORDER BY position
LIMIT ?4
