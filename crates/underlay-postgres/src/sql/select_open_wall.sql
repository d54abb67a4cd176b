-- A table without its row-level security, or something that another than its role owns, with the statement
-- that mends it.
SELECT
    wall.name,
    wall.mended_by
FROM (
    SELECT
        format('%I.%I', n.nspname, c.relname) AS name,
        CASE
            WHEN NOT c.relrowsecurity OR NOT c.relforcerowsecurity THEN format(
                'ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', n.nspname, c.relname
            )
            WHEN c.relowner <> wanted.oid
                THEN format('ALTER TABLE %I.%I OWNER TO %I', n.nspname, c.relname, wanted.rolname)
        END AS mended_by
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_roles AS wanted
        ON wanted.rolname = CASE WHEN n.oid = to_regnamespace('{schema}') THEN '{owner}' ELSE '{worker}' END
    WHERE n.oid IN (to_regnamespace('{schema}'), to_regnamespace('{views}'), to_regnamespace('{entities}'))
        AND c.relkind IN ('r', 'p')
    UNION ALL
    SELECT
        p.oid::regprocedure::text,
        format('ALTER FUNCTION %s OWNER TO %I', p.oid::regprocedure, wanted.rolname)
    FROM pg_proc AS p
    JOIN pg_roles AS wanted ON wanted.rolname = '{append}'
    WHERE p.pronamespace = to_regnamespace('{schema}')
        AND p.prosecdef
        AND p.proowner <> wanted.oid
) AS wall
WHERE wall.mended_by IS NOT NULL
ORDER BY wall.name
LIMIT 1
