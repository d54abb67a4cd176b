SELECT id
FROM {schema}.store
