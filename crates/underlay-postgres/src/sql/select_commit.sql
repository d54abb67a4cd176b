SELECT
    commits.fingerprint,
    commits.kind,
    commits.code,
    commits.message,
    commits.body,
    commits.position,
    commits.event_count,
    commits.recorded_at,
    coalesce(written.streams, '{}'),
    coalesce(written.versions, '{}')
FROM commits
LEFT JOIN LATERAL (
    SELECT
        array_agg(streams.stream ORDER BY streams.last_position) AS streams,
        array_agg(streams.version ORDER BY streams.last_position) AS versions
    FROM (
        SELECT
            written_events.stream,
            max(written_events.version) AS version,
            max(written_events.position) AS last_position
        FROM (
            -- In their order, so that they are found by position whatever else the tenant has.
            SELECT
                events.stream,
                events.version,
                events.position
            FROM events
            WHERE events.position > commits.position - commits.event_count
                AND events.position <= commits.position
            ORDER BY events.position
            LIMIT commits.event_count
        ) AS written_events
        GROUP BY written_events.stream
    ) AS streams
) AS written ON true
WHERE commits.tenant = $1
    AND commits.commit_id = $2
