SELECT
    tenant,
    name,
    definition,
    next_due_at,
    revision
FROM schedules
WHERE tenant = ?1
    AND name > ?2
ORDER BY name
LIMIT ?3
