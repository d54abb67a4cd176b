-- Where the commits of all tenants end, for an export of one tenant that looks through them.
CREATE FUNCTION {schema}.last_sequence() RETURNS bigint
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, {schema}, pg_temp
AS $$
    SELECT sequence FROM commits ORDER BY sequence DESC LIMIT 1
$$;
