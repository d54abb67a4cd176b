SELECT
FROM fences
WHERE writer = $1
    AND attempt >= $2
