SELECT remove_schedule($1, $2)
