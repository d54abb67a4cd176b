SELECT stop::text
FROM view_stops
WHERE name = $1
    AND generation = $2
    AND position = $3
