SELECT
    receiver,
    kind
FROM work
WHERE (receiver, kind) > (?1, ?2)
ORDER BY
    receiver,
    kind
LIMIT 1
