-- The places first, in the order of each index, and then what stands there.
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
    CASE
        WHEN NOT listed.is_later THEN 'ready'
        WHEN w.due_at IS NULL THEN 'behind'
        ELSE 'later'
    END AS state,
    NULL::bigint AS died_at,
    NULL::boolean AS is_final,
    NULL::boolean AS holds
FROM (
    SELECT *
    FROM (
        (
            SELECT
                part.shard,
                part.lane,
                ready.place,
                false AS is_later
            FROM (
                SELECT
                    shard,
                    lane
                FROM generate_series(0, $7 - 1) AS shard
                CROSS JOIN generate_series(0, 1) AS lane
            ) AS part
            CROSS JOIN LATERAL (
                SELECT place
                FROM work
                WHERE shard = part.shard
                    AND lane = part.lane
                    AND tenant >= $1
                    AND tenant <= $1
                    AND place > $5
                    AND ($2::text IS NULL OR kind = $2)
                    AND ($3::text IS NULL OR receiver = $3)
                    AND ($4::text IS NULL OR key = $4)
                ORDER BY
                    tenant,
                    place
                LIMIT $6
            ) AS ready
        )
        UNION ALL
        (
            SELECT
                shard,
                lane,
                place,
                true AS is_later
            FROM (
                SELECT
                    shard,
                    lane,
                    place
                FROM work_later
                WHERE tenant >= $1
                    AND tenant <= $1
                    AND place > $5
                    AND ($2::text IS NULL OR kind = $2)
                    AND ($3::text IS NULL OR receiver = $3)
                    AND ($4::text IS NULL OR key = $4)
                ORDER BY
                    tenant,
                    place
                LIMIT $6
            ) AS later
        )
    ) AS there
    ORDER BY place
    LIMIT $6
) AS listed
CROSS JOIN LATERAL (
    (
        SELECT
            place,
            sent_at,
            version,
            work_id,
            commit_id,
            shard,
            lane,
            tenant,
            kind,
            receiver,
            key,
            name,
            encoding,
            key_id,
            metadata,
            payload,
            NULL::bigint AS due_at,
            0 AS attempts,
            NULL::text AS last_error
        FROM work
        WHERE NOT listed.is_later
            AND shard = listed.shard
            AND lane = listed.lane
            AND place BETWEEN listed.place AND listed.place
        ORDER BY place
        LIMIT 1
    )
    UNION ALL
    (
        SELECT
            place,
            sent_at,
            version,
            work_id,
            commit_id,
            shard,
            lane,
            tenant,
            kind,
            receiver,
            key,
            name,
            encoding,
            key_id,
            metadata,
            payload,
            due_at,
            attempts,
            last_error
        FROM work_later
        WHERE listed.is_later
            AND shard = listed.shard
            AND place BETWEEN listed.place AND listed.place
        ORDER BY place
        LIMIT 1
    )
) AS w
ORDER BY listed.place
