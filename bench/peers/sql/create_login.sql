DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'peers_login') THEN
        CREATE ROLE peers_login LOGIN;
    END IF;
END
$$
