UPDATE leases
SET expires_at = time_now($4) + $3
WHERE name = $1
    AND term = $2
    AND id = $5
    AND expires_at > time_now($4)
RETURNING expires_at
