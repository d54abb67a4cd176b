INSERT INTO removed_schedules (
    tenant,
    name,
    revision
) VALUES (?1, ?2, ?3)
