-- `$7` says how long each that is tried again waits, and is NULL for the others. The moments are by the clock of the
-- server, or the one that is given; none is past the last that there is.
SELECT settle_work(
    $1,
    $2,
    $3,
    $4,
    $5,
    $6,
    ARRAY(
        SELECT
            CASE
                WHEN waits.delay IS NOT NULL THEN least(time_now($11) + waits.delay, 253402207200999999)
            END
        FROM unnest($7) WITH ORDINALITY AS waits (delay, number)
        ORDER BY waits.number
    ),
    $8,
    $9,
    $10,
    $11,
    $12,
    $13
)
