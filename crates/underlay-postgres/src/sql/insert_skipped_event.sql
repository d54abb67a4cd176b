INSERT INTO skipped_events (
    tenant,
    name,
    position,
    event_id,
    skipped
) VALUES ($1, $2, $3, $4, $5::json)
ON CONFLICT DO NOTHING
