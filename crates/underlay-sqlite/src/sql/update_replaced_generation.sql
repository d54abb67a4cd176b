UPDATE view_generations
SET replaced_at = ?3
WHERE name = ?1
    AND generation = ?2
