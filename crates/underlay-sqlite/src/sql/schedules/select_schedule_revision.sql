SELECT revision
FROM schedules
WHERE tenant = ?1
    AND name = ?2
