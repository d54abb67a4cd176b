SELECT forget_commits($1, $2)
