INSERT INTO entities (
    name,
    definition
) VALUES ($1, $2::json)
ON CONFLICT (name) DO NOTHING
RETURNING name
