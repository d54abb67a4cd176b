INSERT INTO view_stops (
    name,
    generation,
    position,
    stop
) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (name, generation) DO UPDATE SET
    position = excluded.position,
    stop = excluded.stop
