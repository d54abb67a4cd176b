DELETE FROM snapshots
WHERE tenant = $1
    AND stream = $2
