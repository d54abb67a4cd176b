INSERT INTO view_orders (
    name,
    number,
    body
)
SELECT
    $1,
    $2 + 1,
    $3::json
WHERE $2 = coalesce((SELECT known.number FROM view_orders AS known WHERE known.name = $1), 0)
ON CONFLICT (name) DO UPDATE SET
    number = excluded.number,
    body = excluded.body
RETURNING number
