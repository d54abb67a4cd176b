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
    tenant,
    commit_id
FROM commits
WHERE sequence > ?1
    AND (?2 IS NULL OR tenant = ?2)
ORDER BY sequence
LIMIT ?3
