SELECT skipped::text
FROM skipped_events
WHERE name = $1
ORDER BY position
