-- Roles belong to the whole server and may be there already; so may the schemas.
DO $$
DECLARE
    wanted text;
    pair text[];
BEGIN
    FOREACH wanted IN ARRAY ARRAY[
        '{owner}', '{append}', '{writer}', '{reader}', '{worker}', '{app}', '{switch}'
    ] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                -- Who is in `app` may turn into a worker, and is none until then. The owner gives
                -- functions to `append`, and sees none of what that sees.
                EXECUTE format(
                    'CREATE ROLE %I NOLOGIN %s',
                    wanted,
                    CASE WHEN wanted IN ('{switch}', '{owner}') THEN 'NOINHERIT' ELSE 'INHERIT' END
                );
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                -- Another installation in this server made it in the meantime.
                NULL;
            END;
        END IF;
    END LOOP;
    FOREACH pair SLICE 1 IN ARRAY ARRAY[
        ARRAY['{worker}', '{switch}'],
        ARRAY['{switch}', '{app}'],
        ARRAY['{writer}', '{app}'],
        ARRAY['{reader}', '{app}'],
        ARRAY['{append}', '{owner}'],
        ARRAY['{owner}', current_user]
    ] LOOP
        IF NOT pg_has_role(pair[2], pair[1], 'MEMBER') THEN
            BEGIN
                EXECUTE format('GRANT %I TO %I', pair[1], pair[2]);
            EXCEPTION WHEN unique_violation THEN
                NULL;
            END;
        END IF;
    END LOOP;
    CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {owner};
    CREATE SCHEMA IF NOT EXISTS {views} AUTHORIZATION {owner};
END
$$
