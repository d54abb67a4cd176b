SELECT place
FROM dead_letters
WHERE tenant = ?1
    AND work_id = ?2
