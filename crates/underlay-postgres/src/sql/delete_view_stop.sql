DELETE FROM view_stops
WHERE name = $1
    AND generation = $2
