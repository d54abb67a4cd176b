UPDATE work_scheduler
SET scheduler = ?1
