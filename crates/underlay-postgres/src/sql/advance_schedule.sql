UPDATE schedules
SET next_due_at = $5
WHERE tenant = $1
    AND name = $2
    AND revision = $3
    AND next_due_at IS NOT DISTINCT FROM $4
    AND NOT is_removed
RETURNING revision
