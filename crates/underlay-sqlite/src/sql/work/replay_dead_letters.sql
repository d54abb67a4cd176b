-- It holds its line, with no attempts counted.
INSERT INTO work_later (
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
    due_at,
    holds,
    attempts,
    last_error
)
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
    ?3,
    1,
    0,
    last_error
FROM dead_letters
WHERE tenant = ?1
    AND work_id = ?2
