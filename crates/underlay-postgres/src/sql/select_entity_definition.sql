SELECT definition
FROM entities
WHERE name = $1
