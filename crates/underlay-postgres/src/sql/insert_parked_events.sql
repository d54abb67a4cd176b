INSERT INTO parked_events (
    tenant,
    name,
    generation,
    position,
    stream,
    version,
    event_id,
    reason
)
SELECT
    parked.tenant,
    $1,
    $2,
    parked.position,
    parked.stream,
    parked.version,
    parked.event_id,
    parked.reason
FROM unnest($3, $4, $5, $6, $7, $8) AS parked (tenant, position, stream, version, event_id, reason)
