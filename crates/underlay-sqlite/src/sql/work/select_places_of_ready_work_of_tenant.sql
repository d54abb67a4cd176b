-- Of one block and shard. `?2` to `?4` are asked for where they are there.
SELECT place
FROM work
WHERE place > ?1
    AND (?2 IS NULL OR kind = ?2)
    AND (?3 IS NULL OR receiver = ?3)
    AND (?4 IS NULL OR key = ?4)
    AND tenant = ?6
    AND lane = ?7
    AND place >> 16 = ?8
    AND shard = ?9
ORDER BY place
LIMIT ?5
