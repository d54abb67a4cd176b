-- The last column says whether another of its line is before it: whoever stands behind has a head.
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
    0,
    NULL,
    NULL,
    EXISTS (
        SELECT 1
        FROM work_later AS head
        WHERE head.tenant = work.tenant
            AND head.receiver = work.receiver
            AND head.key = work.key
            AND head.holds = 1
            AND head.due_at IS NOT NULL
    ) OR EXISTS (
        SELECT 1
        FROM dead_letters AS head
        WHERE head.tenant = work.tenant
            AND head.receiver = work.receiver
            AND head.key = work.key
            AND head.holds = 1
    )
FROM work
WHERE place = ?1
