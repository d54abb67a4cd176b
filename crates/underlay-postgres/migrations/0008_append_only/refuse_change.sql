-- Nobody has the right to change or remove an event; where somebody gives it, this still refuses.
CREATE FUNCTION {schema}.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: its rows cannot be changed or removed', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;
