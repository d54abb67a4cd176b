SELECT sent_at
FROM work
WHERE receiver = ?1
    AND kind = ?2
ORDER BY place
LIMIT 1
