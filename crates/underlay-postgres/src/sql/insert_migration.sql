INSERT INTO {schema}.migrations (
    number,
    name,
    checksum
) VALUES ({number}, '{name}', '\x{checksum}')
