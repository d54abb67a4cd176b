-- Of each receiver and kind the oldest that was tried and is to be tried again: the heads of lines that are blocked. Of
-- those that there are, as many are looked at.
SELECT
    receiver,
    kind,
    min(sent_at)
FROM (
    SELECT
        receiver,
        kind,
        sent_at
    FROM work_later INDEXED BY work_later_heads
    WHERE holds = 1
        AND due_at IS NOT NULL
    LIMIT ?1
)
GROUP BY
    receiver,
    kind
