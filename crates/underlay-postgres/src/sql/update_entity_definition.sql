UPDATE entities
SET definition = $2::json
WHERE name = $1
