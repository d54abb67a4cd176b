-- As `fence`, and ends the transaction.
CREATE PROCEDURE {schema}.raise_fence(writer uuid, attempt bigint, longest bigint)
LANGUAGE plpgsql
AS $$
DECLARE
    ends_by_itself boolean := pg_catalog.current_setting('statement_timeout') = '0';
BEGIN
    IF NOT ends_by_itself THEN
        PERFORM {schema}.guard_transaction(longest);
    END IF;
    PERFORM {schema}.fence(raise_fence.writer, raise_fence.attempt);
    IF ends_by_itself THEN
        COMMIT;
    END IF;
END
$$;
