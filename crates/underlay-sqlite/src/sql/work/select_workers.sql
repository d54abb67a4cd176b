SELECT id
FROM workers
ORDER BY id
