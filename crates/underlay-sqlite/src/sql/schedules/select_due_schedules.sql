SELECT
    tenant,
    name,
    definition,
    next_due_at,
    revision
FROM schedules
WHERE next_due_at <= ?1
ORDER BY
    next_due_at,
    tenant,
    name
LIMIT ?2
