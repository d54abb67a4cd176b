SELECT
    tenant,
    name,
    definition,
    next_due_at,
    revision
FROM schedules
WHERE tenant = $1
    AND name = $2
    AND NOT is_removed
