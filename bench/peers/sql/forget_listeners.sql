DO $$
BEGIN
    IF to_regclass('event_listener') IS NOT NULL THEN
        DELETE FROM event_listener;
    END IF;
END
$$
