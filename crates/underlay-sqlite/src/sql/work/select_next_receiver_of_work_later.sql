SELECT
    receiver,
    kind
FROM work_later
WHERE (receiver, kind) > (?1, ?2)
ORDER BY
    receiver,
    kind
LIMIT 1
