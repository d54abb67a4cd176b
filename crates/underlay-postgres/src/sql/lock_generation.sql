SELECT
    fingerprint,
    definition::text
FROM view_generations
WHERE name = $1
    AND generation = $2
FOR UPDATE
