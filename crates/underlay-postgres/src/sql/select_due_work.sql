-- One row at least: the time of the look, and the next moment something is due that is not due yet.
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
    coalesce(
        (
            SELECT true
            FROM work_later AS head
            WHERE (head.tenant, head.receiver, head.key) >= (w.tenant, w.receiver, w.key)
                AND (head.tenant, head.receiver, head.key) <= (w.tenant, w.receiver, w.key)
                AND head.holds
                AND head.due_at IS NOT NULL
                AND (NOT w.holds OR head.place < w.place)
            ORDER BY
                head.tenant,
                head.receiver,
                head.key,
                head.place
            LIMIT 1
        ),
        (
            SELECT true
            FROM dead_letters AS head
            WHERE (head.tenant, head.receiver, head.key) >= (w.tenant, w.receiver, w.key)
                AND (head.tenant, head.receiver, head.key) <= (w.tenant, w.receiver, w.key)
                AND head.holds
                AND (NOT w.holds OR head.place < w.place)
            ORDER BY
                head.tenant,
                head.receiver,
                head.key,
                head.place
            LIMIT 1
        ),
        false
    ) AS is_blocked,
    clock.now,
    next.due_at AS next_due_at
FROM (
    SELECT time_now($2) AS now
) AS clock
LEFT JOIN LATERAL (
    SELECT due_at
    FROM work_later
    WHERE shard = $1
        AND due_at > clock.now
        AND place <> ALL ($3)
    ORDER BY
        due_at,
        place
    LIMIT 1
) AS next ON true
LEFT JOIN LATERAL (
    SELECT *
    FROM work_later
    WHERE shard = $1
        AND due_at <= clock.now
        AND place <> ALL ($3)
    ORDER BY
        due_at,
        place
    LIMIT $4
) AS w ON true
