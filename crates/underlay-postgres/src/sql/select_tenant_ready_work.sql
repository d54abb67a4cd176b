-- The tenant is asked for as a range, and the order begins with it, so that the one index that has this order
-- is walked, whatever the statistics say.
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
    NULL::bigint AS due_at,
    0 AS attempts,
    NULL::text AS last_error,
    coalesce(
        (
            SELECT true
            FROM work_later AS head
            WHERE head.tenant = w.tenant
                AND head.receiver = w.receiver
                AND head.key = w.key
                AND head.holds
                AND head.due_at IS NOT NULL
            ORDER BY head.place DESC
            LIMIT 1
        ),
        (
            SELECT true
            FROM dead_letters AS head
            WHERE head.tenant = w.tenant
                AND head.receiver = w.receiver
                AND head.key = w.key
                AND head.holds
            LIMIT 1
        ),
        false
    ) AS is_blocked
FROM (
    SELECT *
    FROM work
    WHERE shard = $1
        AND lane = $2
        AND tenant >= $3
        AND tenant <= $3
        AND place > $4
    ORDER BY
        tenant,
        place
    LIMIT $5
) AS w
ORDER BY
    w.tenant,
    w.place
