DELETE FROM parked_events
WHERE name = ?1
    AND generation = ?2
