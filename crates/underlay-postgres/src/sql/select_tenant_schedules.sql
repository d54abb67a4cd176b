SELECT
    tenant,
    name,
    definition,
    next_due_at,
    revision
FROM schedules
WHERE tenant = $1
    AND (tenant, name) > ($2, $3)
    AND NOT is_removed
ORDER BY
    tenant,
    name
LIMIT $4
