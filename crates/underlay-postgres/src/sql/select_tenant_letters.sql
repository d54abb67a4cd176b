SELECT *
FROM dead_letters
WHERE tenant >= $1
    AND tenant <= $1
    AND place > $5
    AND ($2::text IS NULL OR kind = $2)
    AND ($3::text IS NULL OR receiver = $3)
    AND ($4::text IS NULL OR key = $4)
    AND (holds OR NOT $7)
ORDER BY
    tenant,
    place
LIMIT $6
