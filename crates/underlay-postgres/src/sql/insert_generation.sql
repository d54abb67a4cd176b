INSERT INTO view_generations (
    name,
    generation,
    fingerprint,
    definition
) VALUES ($1, $2, $3, $4::json)
