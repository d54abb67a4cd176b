SELECT id
FROM workers
WHERE scheduler = ?1
ORDER BY id
