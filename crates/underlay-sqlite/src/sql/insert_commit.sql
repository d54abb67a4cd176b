INSERT INTO commits (
    tenant,
    commit_id,
    fingerprint,
    kind,
    code,
    message,
    body,
    position,
    event_count,
    recorded_at
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT (tenant, commit_id) DO NOTHING
