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
            WHERE (head.tenant, head.receiver, head.key) >= (w.tenant, w.receiver, w.key)
                AND (head.tenant, head.receiver, head.key) <= (w.tenant, w.receiver, w.key)
                AND head.holds
                AND head.due_at IS NOT NULL
            ORDER BY
                head.tenant DESC,
                head.receiver DESC,
                head.key DESC,
                head.place DESC
            LIMIT 1
        ),
        (
            SELECT true
            FROM dead_letters AS head
            WHERE (head.tenant, head.receiver, head.key) >= (w.tenant, w.receiver, w.key)
                AND (head.tenant, head.receiver, head.key) <= (w.tenant, w.receiver, w.key)
                AND head.holds
            ORDER BY
                head.tenant,
                head.receiver,
                head.key,
                head.place
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
