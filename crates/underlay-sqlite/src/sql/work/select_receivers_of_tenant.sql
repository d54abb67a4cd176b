-- What of a tenant waits or was given up, and whether it is late: due, or tried and to be tried again.
SELECT
    place,
    receiver,
    kind,
    due_at IS NOT NULL AND (due_at <= ?3 OR holds = 1),
    sent_at
FROM {table}
WHERE tenant = ?1
ORDER BY place
LIMIT ?2
