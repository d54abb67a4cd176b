-- Of one block.
SELECT
    place,
    receiver,
    kind
FROM work
WHERE lane = ?1
    AND place >> 16 = ?2
LIMIT ?3
