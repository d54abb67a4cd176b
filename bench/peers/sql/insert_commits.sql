WITH given AS (
    SELECT
        $1::bigint + place AS position,
        version,
        stream,
        event_id,
        commit_id,
        payload
    FROM unnest($2::bigint[], $3::text[], $4::uuid[], $5::uuid[], $7::text[])
        WITH ORDINALITY AS given (version, stream, event_id, commit_id, payload, place)
),
stored AS (
    INSERT INTO underlay.events (
        position,
        version,
        recorded_at,
        schema_version,
        event_id,
        commit_tail,
        tenant,
        stream,
        type,
        metadata,
        payload
    )
    SELECT
        position,
        version,
        1,
        1,
        event_id,
        0,
        'bench',
        stream,
        'deposited',
        '{}',
        payload::json
    FROM given
)
INSERT INTO underlay.commits (
    sequence,
    position,
    recorded_at,
    commit_id,
    event_count,
    tenant,
    fingerprint,
    kind
)
SELECT
    position,
    position,
    1,
    commit_id,
    1,
    'bench',
    $6::bytea,
    'accepted'
FROM given
