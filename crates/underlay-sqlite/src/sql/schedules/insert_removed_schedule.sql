-- The row of all that a tenant removed has no name.
INSERT INTO removed_schedules (
    tenant,
    name,
    revision
) VALUES (?1, '', ?2)
