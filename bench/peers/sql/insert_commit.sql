WITH stored AS (
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
    VALUES ($1::bigint, $2::bigint, 1, 1, $4::uuid, 0, 'bench', $3::text, 'deposited', '{}', $7::text::json)
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
VALUES ($1::bigint, $1::bigint, 1, $5::uuid, 1, 'bench', $6::bytea, 'accepted')
