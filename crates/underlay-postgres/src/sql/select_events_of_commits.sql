SELECT
    events.position,
    events.tenant,
    events.stream,
    events.version,
    events.event_id,
    events.type,
    events.schema_version,
    events.recorded_at,
    events.commit_tail,
    events.encoding,
    events.metadata,
    events.payload
FROM unnest($1, $2) AS commits (position, event_count)
JOIN events
    ON events.position > commits.position - commits.event_count
    AND events.position <= commits.position
ORDER BY events.position
