SELECT
    type,
    name,
    sql
FROM sqlite_schema
WHERE tbl_name = ?1
    AND type IN ('table', 'index', 'trigger')
ORDER BY
    type,
    name
