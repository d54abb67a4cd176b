SELECT generation
FROM views
WHERE name = $1
FOR UPDATE
