-- Makes the roles and the schemas that are missing, and lets this login act as their owner. Roles belong to
-- the whole server and may be there already; so may the schemas. A login that is no superuser needs
-- CREATEROLE where roles are missing, CREATE on the database where schemas are, and nothing where all is
-- there but the right to act as the owner.
DO $$
DECLARE
    -- Since 16, who makes a role may grant it to anybody and, by that alone, not become it.
    becomes text := CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET' END;
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
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN
                    -- Another installation in this server made it in the meantime.
                    NULL;
                WHEN insufficient_privilege THEN
                    RAISE EXCEPTION '% may not make the role %; a superuser allows it: ALTER ROLE % CREATEROLE',
                        quote_ident(current_user),
                        quote_ident(wanted),
                        quote_ident(current_user)
                        USING ERRCODE = 'insufficient_privilege';
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
        IF NOT pg_has_role(pair[2], pair[1], becomes) THEN
            BEGIN
                EXECUTE format(
                    'GRANT %I TO %I %s',
                    pair[1],
                    pair[2],
                    -- An administrator becomes the owner, and is none until then.
                    CASE WHEN pair[2] = current_user AND becomes = 'SET' THEN 'WITH SET TRUE, INHERIT FALSE' END
                );
            EXCEPTION
                WHEN unique_violation THEN
                    NULL;
                WHEN insufficient_privilege THEN
                    RAISE EXCEPTION '% may not grant the role %; whoever made it, or a superuser, runs: GRANT % TO %',
                        quote_ident(current_user),
                        quote_ident(pair[1]),
                        quote_ident(pair[1]),
                        quote_ident(pair[2])
                        USING ERRCODE = 'insufficient_privilege';
            END;
        END IF;
    END LOOP;
    FOREACH wanted IN ARRAY ARRAY['{schema}', '{views}', '{entities}'] LOOP
        IF to_regnamespace(wanted) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE SCHEMA IF NOT EXISTS %s AUTHORIZATION %I', wanted, '{owner}');
            EXCEPTION WHEN insufficient_privilege THEN
                RAISE EXCEPTION '% may not make the schema %; the owner of the database runs: GRANT CREATE ON DATABASE % TO %',
                    quote_ident(current_user),
                    wanted,
                    quote_ident(current_database()),
                    quote_ident(current_user)
                    USING ERRCODE = 'insufficient_privilege';
            END;
        END IF;
    END LOOP;
END
$$
