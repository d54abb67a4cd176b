SELECT count(*)
FROM schedules
WHERE tenant = ?1
