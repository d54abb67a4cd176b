-- Lets a login use the store, where it may not yet.
DO $$
DECLARE
    login text := current_setting('underlay.login');
    becomes text := CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET' END;
BEGIN
    IF NOT pg_has_role(login, '{app}', becomes) THEN
        EXECUTE format('GRANT %I TO %I', '{app}', login);
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE EXCEPTION '% may not grant the role %; whoever made it, or a superuser, runs: GRANT % TO %',
        quote_ident(current_user),
        quote_ident('{app}'),
        quote_ident('{app}'),
        quote_ident(login)
        USING ERRCODE = 'insufficient_privilege';
END
$$
