SELECT
    log_bound.head,
    log_bound.bound,
    (
        SELECT event_id
        FROM events
        WHERE position = log_bound.bound
    )
FROM log_bound($1, $2)
