-- `?2` to `?4` are asked for where they are there.
SELECT place
FROM work
WHERE place > ?1
    AND (?2 IS NULL OR kind = ?2)
    AND (?3 IS NULL OR receiver = ?3)
    AND (?4 IS NULL OR key = ?4)
    AND shard = ?7
    AND lane = ?8
    AND tenant = ?6
ORDER BY place
LIMIT ?5
