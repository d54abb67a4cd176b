-- Two parts, for the reason that `select_due_places` has.
SELECT
    place,
    due_at,
    tenant
FROM work_later
WHERE shard = ?1
    AND tenant = ?5
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
    AND tenant = ?5
    AND due_at > ?2
    AND due_at <= ?4
ORDER BY
    due_at,
    place
