-- As `append_work`, and ends the transaction; see `store_commits`.
CREATE PROCEDURE {schema}.store_commits_and_work(
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
    event_encodings text[],
    event_key_ids text[],
    sent_commits integer[],
    sent_numbers integer[],
    sent_shards smallint[],
    sent_lanes smallint[],
    sent_ids uuid[],
    sent_kinds text[],
    sent_receivers text[],
    sent_keys text[],
    sent_names text[],
    sent_versions bigint[],
    sent_payloads text[],
    sent_encodings text[],
    sent_key_ids text[],
    sent_due bigint[],
    naming integer[],
    named uuid[],
    yields boolean[],
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
    FROM {schema}.append_work(
        store_commits_and_work.writer,
        store_commits_and_work.attempt,
        store_commits_and_work.stamp,
        store_commits_and_work.commit_tenants,
        store_commits_and_work.commit_ids,
        store_commits_and_work.commit_fingerprints,
        store_commits_and_work.commit_events,
        store_commits_and_work.ends,
        store_commits_and_work.commit_codes,
        store_commits_and_work.commit_messages,
        store_commits_and_work.commit_bodies,
        store_commits_and_work.commit_metadata,
        store_commits_and_work.expected_commits,
        store_commits_and_work.expected_streams,
        store_commits_and_work.expected_versions,
        store_commits_and_work.event_commits,
        store_commits_and_work.event_expectations,
        store_commits_and_work.event_steps,
        store_commits_and_work.event_tails,
        store_commits_and_work.event_ids,
        store_commits_and_work.event_types,
        store_commits_and_work.event_schema_versions,
        store_commits_and_work.event_payloads,
        store_commits_and_work.seen_position,
        store_commits_and_work.seen_event,
        store_commits_and_work.event_encodings,
        store_commits_and_work.event_key_ids,
        store_commits_and_work.sent_commits,
        store_commits_and_work.sent_numbers,
        store_commits_and_work.sent_shards,
        store_commits_and_work.sent_lanes,
        store_commits_and_work.sent_ids,
        store_commits_and_work.sent_kinds,
        store_commits_and_work.sent_receivers,
        store_commits_and_work.sent_keys,
        store_commits_and_work.sent_names,
        store_commits_and_work.sent_versions,
        store_commits_and_work.sent_payloads,
        store_commits_and_work.sent_encodings,
        store_commits_and_work.sent_key_ids,
        store_commits_and_work.sent_due,
        store_commits_and_work.naming,
        store_commits_and_work.named,
        store_commits_and_work.yields
    ) AS a;
    IF ends_by_itself THEN
        COMMIT;
    END IF;
END
$$;
