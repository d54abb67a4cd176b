SELECT {schema}.fence($1, $2)
