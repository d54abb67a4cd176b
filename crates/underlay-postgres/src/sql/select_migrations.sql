SELECT
    number,
    name,
    checksum
FROM {schema}.migrations
ORDER BY number
