-- What a table is made of, each part as its kind, its name and how it is defined.
WITH shaped AS (
    SELECT
        c.oid,
        c.relkind,
        c.relpersistence
    FROM pg_class AS c
    WHERE c.oid = to_regclass($1)
)
SELECT
    'table' AS kind,
    '' AS name,
    shaped.relkind::text || shaped.relpersistence::text AS defined
FROM shaped
UNION ALL
SELECT
    'column',
    a.attname::text,
    format_type(a.atttypid, a.atttypmod)
        || CASE WHEN a.attcollation = 0 THEN '' ELSE ' COLLATE ' || collations.collname END
        || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
        || CASE WHEN a.atthasdef OR a.attidentity <> '' THEN ' with a value of its own' ELSE '' END
FROM shaped
JOIN pg_attribute AS a ON a.attrelid = shaped.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_collation AS collations ON collations.oid = a.attcollation
UNION ALL
-- That a column is not null is said of the column.
SELECT
    CASE
        WHEN k.contype = 'p' THEN 'key'
        WHEN k.contype = 'c' AND k.conkey = ARRAY[
            (SELECT a.attnum FROM pg_attribute AS a WHERE a.attrelid = shaped.oid AND a.attname = 'tenant')
        ]
            THEN 'tenant check'
        ELSE 'constraint'
    END,
    k.conname::text,
    pg_get_constraintdef(k.oid)
FROM shaped
JOIN pg_constraint AS k ON k.conrelid = shaped.oid AND k.contype NOT IN ('n', 't')
UNION ALL
SELECT
    'index',
    named.relname::text,
    methods.amname
        || CASE WHEN i.indisunique THEN ' unique' ELSE '' END
        || ' ' || (
            SELECT string_agg(
                coalesce(a.attname::text, 'an expression')
                    || CASE WHEN i.indoption[part.place - 1] = 0 THEN '' ELSE ' in another order' END
                    || CASE
                        WHEN a.attcollation = i.indcollation[part.place - 1] THEN ''
                        ELSE ' in another collation'
                    END,
                ', ' ORDER BY part.place
            )
            FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS part (attnum, place)
            LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = part.attnum AND part.attnum > 0
        )
        || CASE WHEN i.indpred IS NULL THEN '' ELSE ' of some rows' END
        || CASE WHEN i.indisvalid THEN '' ELSE ' that is not valid' END
FROM shaped
JOIN pg_index AS i ON i.indrelid = shaped.oid
JOIN pg_class AS named ON named.oid = i.indexrelid
JOIN pg_am AS methods ON methods.oid = named.relam
UNION ALL
SELECT
    'trigger',
    t.tgname::text,
    ''
FROM shaped
JOIN pg_trigger AS t ON t.tgrelid = shaped.oid AND NOT t.tgisinternal
UNION ALL
SELECT
    'rule',
    r.rulename::text,
    ''
FROM shaped
JOIN pg_rewrite AS r ON r.ev_class = shaped.oid
UNION ALL
SELECT
    'policy',
    p.polname::text,
    p.polcmd::text || CASE WHEN p.polpermissive THEN '' ELSE ' restrictive' END
FROM shaped
JOIN pg_policy AS p ON p.polrelid = shaped.oid
