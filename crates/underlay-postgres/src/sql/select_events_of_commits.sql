-- Each commit by itself, so that its events are found by position whatever else the tenant has.
SELECT
    found.position,
    found.tenant,
    found.stream,
    found.version,
    found.event_id,
    found.type,
    found.schema_version,
    found.recorded_at,
    found.commit_tail,
    found.encoding,
    found.key_id,
    found.metadata,
    found.payload
FROM unnest($1, $2) AS commits (position, event_count)
CROSS JOIN LATERAL (
    SELECT *
    FROM events
    WHERE events.position > commits.position - commits.event_count
        AND events.position <= commits.position
    ORDER BY events.position
    LIMIT commits.event_count
) AS found
ORDER BY found.position
