SELECT
    name,
    type || iif("notnull", ' NOT NULL', '') || iif(hidden, ' generated', '')
FROM pragma_table_xinfo(?1)
ORDER BY name
