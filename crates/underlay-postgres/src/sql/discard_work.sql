SELECT discard_work($1, $2, $3)
