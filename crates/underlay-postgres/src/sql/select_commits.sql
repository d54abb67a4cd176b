SELECT
    fingerprint,
    kind,
    code,
    message,
    body,
    position,
    event_count,
    recorded_at,
    sequence,
    commit_id,
    tenant
FROM commits
WHERE sequence > $1
    AND sequence <= $2
    AND ($3 IS NULL OR tenant = $3)
ORDER BY sequence
LIMIT $4
