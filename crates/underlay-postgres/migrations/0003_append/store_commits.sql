-- As `append`, and ends the transaction.
--
-- The log is written by procedures that end their transaction themselves. Of a call of a function the
-- transaction, and the lock of the log with it, would stay until the client's next message: where the
-- network dies in between, nobody could write until the server notices.
--
-- A statement timeout that is set for the login would also end the wait for a standby, and what the
-- standby lacks would be acknowledged; it does not run while a transaction ends by itself. So where one is
-- set the transaction ends by the client's message, and the connection is guarded instead: for so long at
-- most as `longest` says.
CREATE PROCEDURE {schema}.store_commits(
    writer uuid,
    attempt bigint,
    stamp bigint,
    commit_tenants text[],
    commit_ids uuid[],
    commit_fingerprints bytea[],
    commit_events integer[],
    ends integer[],
    commit_codes text[],
    commit_messages text[],
    commit_bodies text[],
    commit_metadata text[],
    expected_commits integer[],
    expected_streams text[],
    expected_versions bigint[],
    event_commits integer[],
    event_expectations integer[],
    event_steps integer[],
    event_tails integer[],
    event_ids uuid[],
    event_types text[],
    event_schema_versions bigint[],
    event_payloads text[],
    seen_position bigint,
    seen_event uuid,
    longest bigint,
    OUT head bigint,
    OUT recorded_at bigint,
    OUT commit_ends integer[],
    OUT actual_versions bigint[]
)
LANGUAGE plpgsql
AS $$
DECLARE
    ends_by_itself boolean := pg_catalog.current_setting('statement_timeout') = '0';
BEGIN
    IF NOT ends_by_itself THEN
        PERFORM {schema}.guard_transaction(longest);
    END IF;
    SELECT a.head, a.recorded_at, a.commit_ends, a.actual_versions
    INTO head, recorded_at, commit_ends, actual_versions
    FROM {schema}.append(
        store_commits.writer,
        store_commits.attempt,
        store_commits.stamp,
        store_commits.commit_tenants,
        store_commits.commit_ids,
        store_commits.commit_fingerprints,
        store_commits.commit_events,
        store_commits.ends,
        store_commits.commit_codes,
        store_commits.commit_messages,
        store_commits.commit_bodies,
        store_commits.commit_metadata,
        store_commits.expected_commits,
        store_commits.expected_streams,
        store_commits.expected_versions,
        store_commits.event_commits,
        store_commits.event_expectations,
        store_commits.event_steps,
        store_commits.event_tails,
        store_commits.event_ids,
        store_commits.event_types,
        store_commits.event_schema_versions,
        store_commits.event_payloads,
        store_commits.seen_position,
        store_commits.seen_event
    ) AS a;
    IF ends_by_itself THEN
        COMMIT;
    END IF;
END
$$;
