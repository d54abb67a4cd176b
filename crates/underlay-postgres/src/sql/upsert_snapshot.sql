INSERT INTO snapshots (
    tenant,
    stream,
    version,
    event_id,
    fingerprint,
    state
) VALUES ($1, $2, $3, $4, $5, $6::json)
ON CONFLICT (tenant, stream) DO UPDATE SET
    version = excluded.version,
    event_id = excluded.event_id,
    fingerprint = excluded.fingerprint,
    state = excluded.state
WHERE excluded.version >= snapshots.version
    OR excluded.fingerprint <> snapshots.fingerprint
