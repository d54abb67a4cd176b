INSERT INTO views (
    name,
    generation,
    last_generation
) VALUES (?1, 1, 1)
