INSERT INTO replaced_generations (
    name,
    generation,
    fingerprint,
    definition,
    replaced_at
) VALUES ($1, $2, $3, $4::json, $5)
