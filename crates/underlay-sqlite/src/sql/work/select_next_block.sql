-- The first block of ready work from one on.
SELECT place >> 18
FROM work
WHERE lane = ?1
    AND place >> 18 >= ?2
ORDER BY place >> 18
LIMIT 1
