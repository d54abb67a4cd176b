-- Two parts, each of which an index has in its order: however much is due at one moment, only what is left of it is
-- walked over. A comparison of pairs would walk over all of it.
SELECT
    place,
    due_at,
    tenant
FROM work_later
WHERE shard = ?1
    AND due_at = ?2
    AND place > ?3
    AND ?2 <= ?4
UNION ALL
SELECT
    place,
    due_at,
    tenant
FROM work_later
WHERE shard = ?1
    AND due_at > ?2
    AND due_at <= ?4
ORDER BY
    due_at,
    place
