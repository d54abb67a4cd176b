SELECT
    position,
    tenant,
    stream,
    version,
    event_id,
    type,
    schema_version,
    recorded_at,
    commit_tail,
    encoding,
    key_id,
    metadata,
    payload
FROM events
WHERE position > $1
    AND position <= (
        SELECT bound
        FROM log_bound($1, $2)
    )
    AND (cardinality($3) = 0 OR split_part(stream, '-', 1) = ANY ($3))
    AND (cardinality($4) = 0 OR type = ANY ($4))
ORDER BY position
LIMIT $5
