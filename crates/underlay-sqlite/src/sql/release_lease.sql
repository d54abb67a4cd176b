UPDATE leases
SET expires_at = ?3
WHERE name = ?1
    AND term = ?2
