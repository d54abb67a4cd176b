SELECT sent_at
FROM work
WHERE place = ?1
