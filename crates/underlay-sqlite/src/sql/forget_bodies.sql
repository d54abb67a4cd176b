UPDATE commits
SET message = '',
    body = NULL
WHERE sequence IN (
    SELECT sequence
    FROM commits
    WHERE body IS NOT NULL
        AND recorded_at < ?1
    LIMIT ?2
)
