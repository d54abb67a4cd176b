SELECT
    place,
    due_at
FROM work_later
WHERE shard = ?1
    AND due_at > ?2
ORDER BY
    due_at,
    place
