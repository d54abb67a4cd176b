SELECT
    number
FROM view_orders
WHERE name = ?1
