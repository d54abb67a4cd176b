-- `?2` to `?4` are asked for where they are there, and `?6` asks for what holds its key.
SELECT place
FROM {table}
WHERE place > ?1
    AND (?2 IS NULL OR kind = ?2)
    AND (?3 IS NULL OR receiver = ?3)
    AND (?4 IS NULL OR key = ?4)
    AND (?6 = 0 OR holds = 1)
ORDER BY place
LIMIT ?5
