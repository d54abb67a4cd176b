-- Makes the lowest piece that stands in a line its head, where the line has none.
UPDATE work_later
SET due_at = ?4
WHERE place = (
        SELECT place
        FROM work_later
        WHERE tenant = ?1
            AND receiver = ?2
            AND key = ?3
            AND due_at IS NULL
        ORDER BY place
        LIMIT 1
    )
    AND NOT EXISTS (
        SELECT 1
        FROM work_later
        WHERE tenant = ?1
            AND receiver = ?2
            AND key = ?3
            AND holds = 1
            AND due_at IS NOT NULL
    )
    AND NOT EXISTS (
        SELECT 1
        FROM dead_letters
        WHERE tenant = ?1
            AND receiver = ?2
            AND key = ?3
            AND holds = 1
    )
