SELECT
    log_bound.head,
    log_bound.bound,
    (
        -- As a range in the order of the log, so that it is found by position: a reader looks for it among
        -- what its tenant has.
        SELECT event_id
        FROM events
        WHERE position >= log_bound.bound
            AND position <= log_bound.bound
        ORDER BY position
        LIMIT 1
    )
FROM log_bound($1, $2)
