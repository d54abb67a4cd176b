-- A piece of work by its commit and its number there; in none of the tables it is done.
SELECT
    w.place,
    w.sent_at,
    w.version,
    w.work_id,
    w.commit_id,
    w.shard,
    w.lane,
    w.tenant,
    w.kind,
    w.receiver,
    w.key,
    w.name,
    w.encoding,
    w.key_id,
    w.metadata,
    w.payload,
    w.due_at,
    w.attempts,
    w.last_error,
    w.state,
    w.died_at,
    w.is_final,
    w.holds
FROM (
    SELECT commits.sequence * 1024 + $3 AS place
    FROM commits
    WHERE commits.tenant = $1
        AND commits.commit_id = $2
    LIMIT 1
) AS sent
CROSS JOIN LATERAL (
    SELECT
        ready.place,
        ready.sent_at,
        ready.version,
        ready.work_id,
        ready.commit_id,
        ready.shard,
        ready.lane,
        ready.tenant,
        ready.kind,
        ready.receiver,
        ready.key,
        ready.name,
        ready.encoding,
        ready.key_id,
        ready.metadata,
        ready.payload,
        NULL::bigint AS due_at,
        0 AS attempts,
        NULL::text AS last_error,
        'ready' AS state,
        NULL::bigint AS died_at,
        NULL::boolean AS is_final,
        NULL::boolean AS holds
    FROM generate_series(0, $4 - 1) AS shard
    CROSS JOIN generate_series(0, 1) AS lane
    CROSS JOIN LATERAL (
        SELECT *
        FROM work
        WHERE work.shard = shard.shard
            AND work.lane = lane.lane
            AND work.place BETWEEN sent.place AND sent.place
        ORDER BY work.place
        LIMIT 1
    ) AS ready
    UNION ALL
    SELECT
        later.place,
        later.sent_at,
        later.version,
        later.work_id,
        later.commit_id,
        later.shard,
        later.lane,
        later.tenant,
        later.kind,
        later.receiver,
        later.key,
        later.name,
        later.encoding,
        later.key_id,
        later.metadata,
        later.payload,
        later.due_at,
        later.attempts,
        later.last_error,
        CASE WHEN later.due_at IS NULL THEN 'behind' ELSE 'later' END,
        NULL,
        NULL,
        NULL
    FROM generate_series(0, $4 - 1) AS shard
    CROSS JOIN LATERAL (
        SELECT *
        FROM work_later
        WHERE work_later.shard = shard.shard
            AND work_later.place BETWEEN sent.place AND sent.place
        ORDER BY work_later.place
        LIMIT 1
    ) AS later
    UNION ALL
    SELECT
        letters.place,
        letters.sent_at,
        letters.version,
        letters.work_id,
        letters.commit_id,
        letters.shard,
        letters.lane,
        letters.tenant,
        letters.kind,
        letters.receiver,
        letters.key,
        letters.name,
        letters.encoding,
        letters.key_id,
        letters.metadata,
        letters.payload,
        NULL,
        letters.attempts,
        letters.last_error,
        'dead',
        letters.died_at,
        letters.is_final,
        letters.holds
    FROM dead_letters AS letters
    WHERE letters.place = sent.place
) AS w
WHERE tenant = $1
LIMIT 1
