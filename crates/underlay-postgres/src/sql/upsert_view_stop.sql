INSERT INTO view_stops (
    name,
    generation,
    position,
    stop
)
SELECT
    $1,
    $2,
    $3,
    $4::json
WHERE NOT EXISTS (
    SELECT
    FROM skipped_events
    WHERE skipped_events.name = $1
        AND skipped_events.position = $5
        AND skipped_events.event_id = $6
)
ON CONFLICT (name, generation) DO UPDATE SET
    position = excluded.position,
    stop = excluded.stop
RETURNING generation
