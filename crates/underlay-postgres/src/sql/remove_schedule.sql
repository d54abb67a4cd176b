-- What it was to do is not kept.
UPDATE schedules
SET
    is_removed = true,
    next_due_at = NULL,
    definition = 'null'
WHERE tenant = $1
    AND name = $2
    AND NOT is_removed
RETURNING revision
