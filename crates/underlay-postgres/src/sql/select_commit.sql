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
            events.stream,
            max(events.version) AS version,
            max(events.position) AS last_position
        FROM events
        WHERE events.position > commits.position - commits.event_count
            AND events.position <= commits.position
        GROUP BY events.stream
    ) AS streams
) AS written ON true
WHERE commits.tenant = $1
    AND commits.commit_id = $2
