DELETE FROM removed_schedules
WHERE tenant = ?1
    AND name = ?2
RETURNING revision
