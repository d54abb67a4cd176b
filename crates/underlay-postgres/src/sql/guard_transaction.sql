SELECT guard_transaction($1)
