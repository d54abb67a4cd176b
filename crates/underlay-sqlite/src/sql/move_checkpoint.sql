UPDATE view_generations
SET
    store_id = ?4,
    position = ?5,
    event_id = ?6
WHERE name = ?1
    AND generation = ?2
    AND fingerprint = ?3
    AND replaced_at IS NULL
    AND store_id = ?7
    AND position = ?8
    AND event_id IS ?9
