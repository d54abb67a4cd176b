SELECT
    version,
    event_id,
    fingerprint,
    state
FROM snapshots
WHERE tenant = $1
    AND stream = $2
