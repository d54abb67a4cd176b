DELETE FROM removed_schedules
WHERE tenant = ?1
