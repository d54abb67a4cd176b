SELECT
    place,
    due_at,
    tenant
FROM work_later
WHERE shard = ?1
    AND (due_at, place) > (?2, ?3)
    AND due_at <= ?4
ORDER BY
    due_at,
    place
