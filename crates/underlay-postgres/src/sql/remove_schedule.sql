UPDATE schedules
SET
    is_removed = true,
    next_due_at = NULL
WHERE tenant = $1
    AND name = $2
    AND NOT is_removed
RETURNING revision
