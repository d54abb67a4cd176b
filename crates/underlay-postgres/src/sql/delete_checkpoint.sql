DELETE FROM view_checkpoints
WHERE name = $1
    AND generation = $2
