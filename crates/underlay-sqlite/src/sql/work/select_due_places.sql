SELECT
    place,
    due_at
FROM work_later
WHERE shard = ?1
    AND due_at IS NOT NULL
ORDER BY
    due_at,
    place
