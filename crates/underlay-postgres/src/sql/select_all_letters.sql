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
WHERE place > $4
    AND ($1::text IS NULL OR kind = $1)
    AND ($2::text IS NULL OR receiver = $2)
    AND ($3::text IS NULL OR key = $3)
ORDER BY place
LIMIT $5
