INSERT INTO store (
    only,
    id,
    created_at
) VALUES (1, ?1, ?2)
