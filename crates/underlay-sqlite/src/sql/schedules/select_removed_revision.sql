SELECT coalesce(max(revision), 0)
FROM removed_schedules
WHERE tenant = ?1
