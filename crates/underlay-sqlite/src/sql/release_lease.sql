UPDATE leases
SET expires_at = ?4
WHERE name = ?1
    AND term = ?2
    AND id = ?3
