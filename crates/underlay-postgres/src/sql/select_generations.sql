SELECT generation
FROM view_generations
WHERE name = $1
ORDER BY generation
