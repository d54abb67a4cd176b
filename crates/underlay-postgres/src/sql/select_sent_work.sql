-- A piece of work by its commit and its number there; in none of the tables it is done.
SELECT w.*
FROM (
    SELECT commits.sequence * 1024 + $3 AS place
    FROM commits
    WHERE commits.tenant = $1
        AND commits.commit_id = $2
    LIMIT 1
) AS sent
CROSS JOIN LATERAL (
    SELECT
        work.*,
        true AS is_ready
    FROM generate_series(0, $4 - 1) AS part (shard)
    CROSS JOIN LATERAL ready_row(part.shard::smallint, sent.place) AS found
    INNER JOIN work ON work.ctid = found.row_id
    UNION ALL
    SELECT
        later.*,
        false
    FROM generate_series(0, $4 - 1) AS part (shard)
    CROSS JOIN LATERAL (
        SELECT *
        FROM work_later
        WHERE work_later.shard = part.shard
            AND work_later.place BETWEEN sent.place AND sent.place
        ORDER BY work_later.place
        LIMIT 1
    ) AS later
    UNION ALL
    SELECT
        letters.*,
        false
    FROM dead_letters AS letters
    WHERE letters.place = sent.place
) AS w
WHERE w.tenant = $1
LIMIT 1
