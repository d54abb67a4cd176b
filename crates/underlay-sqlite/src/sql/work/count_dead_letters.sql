SELECT count(*)
FROM (
    SELECT 1
    FROM dead_letters
    WHERE receiver = ?1
        AND kind = ?2
    LIMIT ?3
)
