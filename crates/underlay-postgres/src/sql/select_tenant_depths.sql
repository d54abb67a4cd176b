-- The same of one tenant: of every shard and lane so many of its rows as $2 are counted, the oldest first; of what is
-- later as many in all as of all shards, and of the letters $2.
SELECT
    receiver,
    kind,
    sum(ready)::bigint,
    sum(later)::bigint,
    sum(dead)::bigint,
    bool_or(bool_or(ready_ended)) OVER (),
    bool_or(bool_or(later_ended)) OVER (),
    bool_or(bool_or(dead_ended)) OVER (),
    min(oldest)
FROM (
    SELECT
        ready.receiver,
        ready.kind,
        count(*) AS ready,
        0 AS later,
        0 AS dead,
        sum(count(*)) OVER (PARTITION BY part.shard, half.lane) >= $2 AS ready_ended,
        false AS later_ended,
        false AS dead_ended,
        min(ready.sent_at) AS oldest
    FROM generate_series(0, $3 - 1) AS part (shard)
    CROSS JOIN generate_series(0, 1) AS half (lane)
    CROSS JOIN LATERAL (
        SELECT
            receiver,
            kind,
            sent_at
        FROM work
        WHERE shard = part.shard
            AND lane = half.lane
            AND tenant >= $1
            AND tenant <= $1
        ORDER BY
            tenant,
            place
        LIMIT $2
    ) AS ready
    GROUP BY
        part.shard,
        half.lane,
        ready.receiver,
        ready.kind
    UNION ALL
    SELECT
        later.receiver,
        later.kind,
        0,
        count(*),
        0,
        false,
        sum(count(*)) OVER () >= $2 * $3,
        false,
        min(later.sent_at) FILTER (WHERE later.due_at <= clock.now OR (later.holds AND later.due_at IS NOT NULL))
    FROM (
        SELECT coalesce($4, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
    ) AS clock
    CROSS JOIN LATERAL (
        SELECT
            receiver,
            kind,
            sent_at,
            due_at,
            holds
        FROM work_later
        WHERE tenant >= $1
            AND tenant <= $1
        ORDER BY
            tenant,
            place
        LIMIT $2 * $3
    ) AS later
    GROUP BY
        later.receiver,
        later.kind
    UNION ALL
    SELECT
        letters.receiver,
        letters.kind,
        0,
        0,
        count(*),
        false,
        false,
        sum(count(*)) OVER () >= $2,
        NULL
    FROM (
        SELECT
            receiver,
            kind
        FROM dead_letters
        WHERE tenant >= $1
            AND tenant <= $1
        ORDER BY
            tenant,
            place
        LIMIT $2
    ) AS letters
    GROUP BY
        letters.receiver,
        letters.kind
) AS counted
GROUP BY
    receiver,
    kind
ORDER BY
    receiver,
    kind
