SELECT position
FROM view_checkpoints
WHERE name = $1
    AND generation = $2
ORDER BY move DESC
LIMIT 1
