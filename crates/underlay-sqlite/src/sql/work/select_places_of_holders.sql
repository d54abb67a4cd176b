-- The dead letters that hold a line. `?5` is asked for where it is there.
SELECT place
FROM dead_letters
WHERE tenant = ?1
    AND receiver = ?2
    AND key = ?3
    AND holds = 1
    AND place > ?4
    AND (?5 IS NULL OR kind = ?5)
ORDER BY place
LIMIT ?6
