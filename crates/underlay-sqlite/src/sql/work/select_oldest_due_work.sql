-- Of those that are due, as many as are looked at.
SELECT sent_at
FROM work_later
WHERE place = (
    SELECT min(place)
    FROM (
        SELECT place
        FROM work_later
        WHERE receiver = ?1
            AND kind = ?2
            AND due_at <= ?3
        LIMIT ?4
    )
)
