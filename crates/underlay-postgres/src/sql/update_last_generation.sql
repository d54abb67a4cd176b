UPDATE views
SET last_generation = last_generation + 1
WHERE name = $1
RETURNING last_generation
