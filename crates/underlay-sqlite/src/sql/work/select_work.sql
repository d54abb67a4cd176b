-- The last column says whether another of its line is before it: whoever stands behind has a head. What holds the
-- line itself yields to a head of a lower place alone.
SELECT
    piece.*,
    EXISTS (
        SELECT 1
        FROM work_later AS head
        WHERE head.tenant = piece.tenant
            AND head.receiver = piece.receiver
            AND head.key = piece.key
            AND head.holds = 1
            AND head.due_at IS NOT NULL
            AND (piece.holds = 0 OR head.place < piece.place)
    ) OR EXISTS (
        SELECT 1
        FROM dead_letters AS head
        WHERE head.tenant = piece.tenant
            AND head.receiver = piece.receiver
            AND head.key = piece.key
            AND head.holds = 1
            AND (piece.holds = 0 OR head.place < piece.place)
    )
FROM {table} AS piece
WHERE place = ?1
