INSERT INTO views (
    name,
    generation
) VALUES ($1, 1)
ON CONFLICT (name) DO NOTHING
RETURNING name
