-- Ends a transaction that is sent at once, from BEGIN to COMMIT, where a statement of it did not change as many rows as
-- it must.
CREATE FUNCTION {schema}.expect_rows(changed bigint, expected bigint) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF expect_rows.changed <> expect_rows.expected THEN
        RAISE EXCEPTION '% rows are as expected, of %', expect_rows.changed, expect_rows.expected
            USING ERRCODE = 'UL007';
    END IF;
END
$$;
