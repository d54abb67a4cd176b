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
    metadata,
    payload
FROM events
WHERE position > $1
    AND position <= (
        SELECT bound
        FROM log_bound($1, $2)
    )
    AND ($3 IS NULL OR tenant = $3)
    AND (cardinality($4) = 0 OR split_part(stream, '-', 1) = ANY ($4))
    AND (cardinality($5) = 0 OR type = ANY ($5))
ORDER BY position
LIMIT $6
