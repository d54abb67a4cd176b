SELECT
    fingerprint,
    kind,
    code,
    message,
    body,
    position,
    event_count,
    recorded_at
FROM commits
WHERE tenant = ?1
    AND commit_id = ?2
