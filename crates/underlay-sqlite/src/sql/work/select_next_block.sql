-- The first block of ready work from one on.
SELECT place >> 16
FROM work
WHERE lane = ?1
    AND place >> 16 >= ?2
ORDER BY place >> 16
LIMIT 1
