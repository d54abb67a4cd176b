INSERT INTO views (
    name,
    generation
) VALUES (?1, 1)
