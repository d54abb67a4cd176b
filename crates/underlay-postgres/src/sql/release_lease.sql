UPDATE leases
SET expires_at = -9223372036854775808
WHERE name = $1
    AND term = $2
    AND id = $3
