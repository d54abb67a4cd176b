SELECT
    current_setting('server_version_num')::integer,
    pg_is_in_recovery(),
    current_setting('fsync'),
    current_setting('full_page_writes'),
    current_setting('synchronous_commit'),
    current_setting('default_transaction_isolation'),
    current_setting('default_transaction_read_only'),
    login.rolname::text,
    login.rolsuper OR login.rolbypassrls,
    EXISTS (
        SELECT
        FROM pg_roles
        WHERE rolname = $1
            AND pg_has_role(login.oid, pg_roles.oid, 'USAGE')
    ),
    (
        SELECT count(*)
        FROM pg_roles
        WHERE rolname = ANY ($2)
            AND pg_has_role(login.oid, pg_roles.oid, 'MEMBER')
    ) = cardinality($2)
FROM pg_roles AS login
WHERE login.rolname = session_user
