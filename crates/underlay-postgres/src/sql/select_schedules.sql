SELECT
    tenant,
    name,
    definition,
    next_due_at,
    revision
FROM schedules
WHERE (tenant, name) > ($1, $2)
    AND NOT is_removed
ORDER BY
    tenant,
    name
LIMIT $3
