-- What the login may become that no wall holds: the role, why, and the membership that leads there, which is
-- none where the login is that role itself. Memberships count however they were granted: who may not use a
-- role now may be able to grant itself that.
SELECT
    strong.rolname::text,
    strong.reason,
    (
        SELECT direct.rolname::text
        FROM pg_auth_members AS granted
        JOIN pg_roles AS direct ON direct.oid = granted.roleid
        WHERE granted.member = login.oid
            AND pg_has_role(direct.oid, strong.oid, 'MEMBER')
        ORDER BY direct.rolname
        LIMIT 1
    )
FROM pg_roles AS login
CROSS JOIN LATERAL (
    SELECT
        roles.oid,
        roles.rolname,
        CASE
            WHEN roles.rolsuper THEN 'is a superuser'
            WHEN roles.rolbypassrls THEN 'passes over row-level security'
            WHEN roles.rolname IN ('{owner}', '{append}') THEN 'owns the log'
            WHEN roles.oid IN (
                SELECT nspowner FROM pg_namespace WHERE oid IN (to_regnamespace('{schema}'), to_regnamespace('{views}'), to_regnamespace('{entities}'))
                UNION ALL
                SELECT relowner FROM pg_class WHERE relnamespace = to_regnamespace('{schema}')
                UNION ALL
                SELECT proowner FROM pg_proc WHERE pronamespace = to_regnamespace('{schema}')
            ) THEN 'owns a part of the log'
            WHEN roles.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')
                THEN 'reaches the files of the server'
            -- Since 16 that takes the ADMIN option, which is a membership.
            WHEN roles.rolcreaterole AND current_setting('server_version_num')::integer < 160000
                THEN 'may make roles, and grant itself every one there is'
        END AS reason
    FROM pg_roles AS roles
) AS strong
WHERE login.rolname = session_user
    AND strong.reason IS NOT NULL
    AND pg_has_role(login.oid, strong.oid, 'MEMBER')
ORDER BY strong.oid <> login.oid, strong.rolname
LIMIT 1
