-- A range, in the order of positions: a newer server may look for one position under every tenant otherwise.
SELECT event_id
FROM events
WHERE position >= $1
    AND position <= $1
ORDER BY position
LIMIT 1
