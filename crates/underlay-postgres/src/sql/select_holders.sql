-- The dead letters that hold a line, which is looked for as a range in the order of its index.
SELECT *
FROM dead_letters
WHERE (tenant, receiver, key, place) > ($1, $3, $4, $5)
    AND (tenant, receiver, key) <= ($1, $3, $4)
    AND ($2::text IS NULL OR kind = $2)
    AND holds
ORDER BY
    tenant,
    receiver,
    key,
    place
LIMIT $6
