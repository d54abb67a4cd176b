SELECT
    tenant,
    name,
    definition,
    next_due_at,
    revision
FROM schedules
WHERE next_due_at <= ?1
    AND (next_due_at, tenant, name) > (?2, ?3, ?4)
ORDER BY
    next_due_at,
    tenant,
    name
LIMIT ?5
