SELECT
    receiver,
    kind
FROM dead_letters
WHERE (receiver, kind) > (?1, ?2)
ORDER BY
    receiver,
    kind
LIMIT 1
