SELECT
    EXISTS (
        SELECT
        FROM pg_class
        WHERE relname = 'migrations'
            AND relnamespace = to_regnamespace('{schema}')
    ),
    EXISTS (
        SELECT
        FROM pg_roles
        WHERE rolname IN ('{owner}', '{reader}', '{worker}')
            AND pg_has_role(pg_roles.oid, 'USAGE')
    ),
    current_user::text
