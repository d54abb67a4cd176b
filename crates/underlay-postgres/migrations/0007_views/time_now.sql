-- The time by the clock of the server, or the one that is given.
CREATE FUNCTION {schema}.time_now(stamp bigint) RETURNS bigint
LANGUAGE sql
AS $$
    SELECT coalesce(stamp, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
$$;
