-- From the end of each name to the end of the one before, so that nobody walks over what is on its way out.
WITH RECURSIVE found AS (
    (
        SELECT
            name,
            move
        FROM checkpoints
        ORDER BY
            name DESC,
            move DESC
        LIMIT 1
    )
    UNION ALL
    SELECT
        before.name,
        before.move
    FROM found
    CROSS JOIN LATERAL (
        SELECT
            checkpoints.name,
            checkpoints.move
        FROM checkpoints
        WHERE checkpoints.name < found.name
        ORDER BY
            checkpoints.name DESC,
            checkpoints.move DESC
        LIMIT 1
    ) AS before
)
SELECT
    checkpoints.name,
    checkpoints.store_id,
    checkpoints.position,
    checkpoints.event_id,
    checkpoints.definition
FROM found
JOIN checkpoints ON checkpoints.name = found.name
    AND checkpoints.move = found.move
ORDER BY checkpoints.name
