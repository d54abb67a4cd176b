SELECT 1
FROM leases
WHERE name = ?1
    AND term = ?2
    AND id = ?3
    AND expires_at > ?4
