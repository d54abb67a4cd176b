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
    attempts,
    last_error,
    'dead' AS state,
    died_at,
    is_final,
    holds
FROM dead_letters
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
