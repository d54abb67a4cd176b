UPDATE commits
SET
    message = '',
    body = NULL
WHERE sequence IN (
    SELECT sequence
    FROM commits
    WHERE body IS NOT NULL
        AND recorded_at < $1
    ORDER BY recorded_at
    LIMIT $2
)
RETURNING sequence
