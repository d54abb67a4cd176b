SELECT replay_work($1, $2, $3)
