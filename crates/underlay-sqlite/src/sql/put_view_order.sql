INSERT INTO view_orders (
    name,
    number,
    body
)
SELECT
    ?1,
    ?2 + 1,
    ?3
WHERE ?2 = coalesce((SELECT number FROM view_orders WHERE name = ?1), 0)
ON CONFLICT (name) DO UPDATE SET
    number = excluded.number,
    body = excluded.body
