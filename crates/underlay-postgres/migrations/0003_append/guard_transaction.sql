-- For the transaction it is called in: the server looks after a client that is silent, and gives it up.
-- Times are milliseconds; PostgreSQL has no `transaction_timeout` before 17. Over a socket of the system
-- there is nothing to look after.
CREATE FUNCTION {schema}.guard_transaction(longest bigint) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM
        pg_catalog.set_config('tcp_keepalives_idle', '5', true),
        pg_catalog.set_config('tcp_keepalives_interval', '2', true),
        pg_catalog.set_config('tcp_keepalives_count', '3', true),
        pg_catalog.set_config('tcp_user_timeout', '10000', true);
    IF pg_catalog.current_setting('server_version_num')::integer >= 170000 THEN
        PERFORM pg_catalog.set_config('transaction_timeout', guard_transaction.longest::text, true);
    END IF;
END
$$;
