-- `?5` counts as further failed attempts.
UPDATE {table}
SET
    due_at = ?3,
    holds = ?4,
    attempts = attempts + ?5,
    begun = 0,
    last_error = coalesce(?6, last_error),
    died_at = ?7,
    is_final = ?8
WHERE place = ?1
    AND shard = ?2
RETURNING
    tenant,
    receiver,
    key
