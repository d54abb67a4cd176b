-- Of every shard and lane so many rows as $1 are counted, the oldest first; of the letters $1 in all. Where there are
-- as many, those of any receiver may be more.
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
        sum(count(*)) OVER (PARTITION BY shard.shard, lane.lane) >= $1 AS ready_ended,
        false AS later_ended,
        false AS dead_ended,
        min(ready.sent_at) AS oldest
    FROM generate_series(0, $2 - 1) AS shard
    CROSS JOIN generate_series(0, 1) AS lane
    CROSS JOIN LATERAL (
        SELECT
            work.receiver,
            work.kind,
            work.sent_at
        FROM work
        WHERE work.shard = shard.shard
            AND work.lane = lane.lane
        ORDER BY
            work.shard,
            work.lane,
            work.place
        LIMIT $1
    ) AS ready
    GROUP BY
        shard.shard,
        lane.lane,
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
        sum(count(*)) OVER (PARTITION BY shard.shard) >= $1,
        false,
        min(later.sent_at) FILTER (WHERE later.due_at <= clock.now OR (later.holds AND later.due_at IS NOT NULL))
    FROM (
        SELECT time_now($3) AS now
    ) AS clock
    CROSS JOIN generate_series(0, $2 - 1) AS shard
    CROSS JOIN LATERAL (
        SELECT
            work_later.receiver,
            work_later.kind,
            work_later.sent_at,
            work_later.due_at,
            work_later.holds
        FROM work_later
        WHERE work_later.shard = shard.shard
        ORDER BY
            work_later.shard,
            work_later.place
        LIMIT $1
    ) AS later
    GROUP BY
        shard.shard,
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
        sum(count(*)) OVER () >= $1,
        NULL
    FROM (
        SELECT
            receiver,
            kind
        FROM dead_letters
        ORDER BY place
        LIMIT $1
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
