SELECT scheduler
FROM work_scheduler
