-- As `append_one`, and ends the transaction.
CREATE PROCEDURE {schema}.store_commit(
    writer uuid,
    attempt bigint,
    stamp bigint,
    tenant text,
    commit_id uuid,
    fingerprint bytea,
    metadata text,
    stream text,
    expected bigint,
    event_id uuid,
    type text,
    schema_version bigint,
    payload text,
    seen_position bigint,
    seen_event uuid,
    longest bigint,
    OUT ended bigint,
    OUT recorded_at bigint,
    OUT actual_version bigint
)
LANGUAGE plpgsql
AS $$
DECLARE
    ends_by_itself boolean := pg_catalog.current_setting('statement_timeout') = '0';
BEGIN
    IF NOT ends_by_itself THEN
        PERFORM {schema}.guard_transaction(longest);
    END IF;
    SELECT a.ended, a.recorded_at, a.actual_version
    INTO ended, recorded_at, actual_version
    FROM {schema}.append_one(
        store_commit.writer,
        store_commit.attempt,
        store_commit.stamp,
        store_commit.tenant,
        store_commit.commit_id,
        store_commit.fingerprint,
        store_commit.metadata,
        store_commit.stream,
        store_commit.expected,
        store_commit.event_id,
        store_commit.type,
        store_commit.schema_version,
        store_commit.payload,
        store_commit.seen_position,
        store_commit.seen_event
    ) AS a;
    IF ends_by_itself THEN
        COMMIT;
    END IF;
END
$$;
