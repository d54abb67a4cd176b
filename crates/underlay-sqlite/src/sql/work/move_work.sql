INSERT INTO {target}
SELECT *
FROM {table}
WHERE place = ?1
