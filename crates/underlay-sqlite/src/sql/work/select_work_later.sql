-- The last column says whether another of its line is before it. What holds the line itself yields to a head
-- of a lower place alone.
SELECT
    place,
    shard,
    lane,
    tenant,
    work_id,
    commit_id,
    kind,
    receiver,
    key,
    name,
    version,
    sent_at,
    encoding,
    key_id,
    metadata,
    payload,
    attempts,
    last_error,
    due_at,
    EXISTS (
        SELECT 1
        FROM work_later AS head
        WHERE head.tenant = work_later.tenant
            AND head.receiver = work_later.receiver
            AND head.key = work_later.key
            AND head.holds = 1
            AND head.due_at IS NOT NULL
            AND (work_later.holds = 0 OR head.place < work_later.place)
    ) OR EXISTS (
        SELECT 1
        FROM dead_letters AS head
        WHERE head.tenant = work_later.tenant
            AND head.receiver = work_later.receiver
            AND head.key = work_later.key
            AND head.holds = 1
            AND (work_later.holds = 0 OR head.place < work_later.place)
    )
FROM work_later
WHERE place = ?1
