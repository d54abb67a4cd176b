-- It holds its line from now on. `?4` counts as further failed attempts.
UPDATE work_later
SET
    due_at = ?3,
    holds = 1,
    attempts = attempts + ?4,
    last_error = coalesce(?5, last_error)
WHERE place = ?1
    AND shard = ?2
RETURNING
    tenant,
    receiver,
    key
