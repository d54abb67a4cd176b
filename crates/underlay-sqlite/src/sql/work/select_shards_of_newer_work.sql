-- What is later has no lane.
SELECT
    shard,
    lane
FROM work
WHERE place > ?1
UNION ALL
SELECT
    shard,
    NULL
FROM work_later
WHERE place > ?1
LIMIT ?2
