UPDATE schedules
SET next_due_at = ?5
WHERE tenant = ?1
    AND name = ?2
    AND revision = ?3
    AND next_due_at IS ?4
