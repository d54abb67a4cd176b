-- Declares an attempt of a writer void, with all before it. Once this is committed, an attempt that
-- is not found in the log never will be.
CREATE FUNCTION {schema}.fence(writer uuid, attempt bigint) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, {schema}, pg_temp
SET lock_timeout = '30s'
AS $$
#variable_conflict use_column
BEGIN
    PERFORM FROM log_head WHERE one = 1 FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'log_head has no row to lock, so nobody can say what comes first' USING ERRCODE = 'UL005';
    END IF;
    DELETE FROM fences WHERE raised_at < now() - interval '7 days';
    INSERT INTO fences AS there (writer, attempt)
    VALUES (fence.writer, fence.attempt)
    ON CONFLICT (writer) DO UPDATE
    SET attempt = greatest(there.attempt, excluded.attempt), raised_at = now();
END
$$;
