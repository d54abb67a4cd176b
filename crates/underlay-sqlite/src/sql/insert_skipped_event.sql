INSERT INTO skipped_events (
    name,
    position,
    event_id,
    skipped
) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO NOTHING
