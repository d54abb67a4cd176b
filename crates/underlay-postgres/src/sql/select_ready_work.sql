SELECT *
FROM ready_work($1, $2, $3, $4, $5, $6, $7)
