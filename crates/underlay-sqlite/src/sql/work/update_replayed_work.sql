-- It holds its line, with no attempts counted.
UPDATE work_later
SET
    due_at = ?2,
    holds = 1,
    attempts = 0,
    begun = 0,
    died_at = NULL,
    is_final = NULL
WHERE place = ?1
