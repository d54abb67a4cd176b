INSERT INTO discarded_generations (
    name,
    generation
) VALUES (?1, ?2)
