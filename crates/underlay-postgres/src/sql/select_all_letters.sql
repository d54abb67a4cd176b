SELECT *
FROM dead_letters
WHERE place > $4
    AND ($1::text IS NULL OR kind = $1)
    AND ($2::text IS NULL OR receiver = $2)
    AND ($3::text IS NULL OR key = $3)
    AND (holds OR NOT $6)
ORDER BY place
LIMIT $5
