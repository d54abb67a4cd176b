CALL {schema}.raise_fence($1, $2, $3)
