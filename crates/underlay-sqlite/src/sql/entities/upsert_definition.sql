INSERT INTO entities (
    name,
    definition
) VALUES (?1, ?2)
ON CONFLICT (name) DO UPDATE SET
    definition = excluded.definition
