INSERT INTO {table} (
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
    due_at
) VALUES (
    ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,
    ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17
)
