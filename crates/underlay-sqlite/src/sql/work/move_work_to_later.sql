-- It holds its line from now on. `?4` counts as failed attempts.
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
    ?4,
    ?5
FROM work
WHERE place = ?1
    AND shard = ?2
RETURNING
    tenant,
    receiver,
    key
