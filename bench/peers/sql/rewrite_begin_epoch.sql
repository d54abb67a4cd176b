-- A number in hexadecimal needs PostgreSQL 16; in decimal it is the same one, on every version.
DO $$
BEGIN
    EXECUTE replace(pg_get_functiondef('event_store_begin_epoch'::regproc), '0xFFFFFFFF', '4294967295');
END
$$
