-- So many rows as $6 are looked at. The last of them comes along whether its tenant is passed over or not, and
-- says how far it was; `is_last` that nothing follows it.
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
    ) AS is_blocked,
    w.next IS NULL AS is_last
FROM (
    SELECT
        *,
        row_number() OVER (ORDER BY place) AS scanned,
        lead(place) OVER (ORDER BY place) AS next
    FROM (
        SELECT *
        FROM work
        WHERE shard = $1
            AND lane = $2
            AND place > $3
        ORDER BY
            shard,
            lane,
            place
        LIMIT $6 + 1
    ) AS walked
) AS w
WHERE w.scanned <= $6
    AND (w.scanned = $6 OR w.next IS NULL OR w.tenant <> ALL ($4))
ORDER BY w.place
LIMIT $5
