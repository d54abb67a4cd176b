UPDATE views
SET generation = $2
WHERE name = $1
