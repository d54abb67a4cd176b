SELECT count(*)
FROM (
    SELECT 1
    FROM work_later
    WHERE receiver = ?1
        AND kind = ?2
    LIMIT ?3
)
