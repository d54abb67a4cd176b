-- One row in fifty makes its transaction wait before it commits.
CREATE FUNCTION public.wait_sometimes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF random() < 0.02 THEN
        PERFORM pg_sleep(random() * 0.1);
    END IF;
    RETURN NULL;
END
$$
