SELECT
    place,
    receiver,
    kind
FROM work
WHERE tenant = ?1
