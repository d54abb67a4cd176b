INSERT INTO schedules (
    tenant,
    name,
    definition,
    next_due_at,
    revision
) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (tenant, name) DO UPDATE SET
    definition = excluded.definition,
    next_due_at = excluded.next_due_at,
    revision = excluded.revision
