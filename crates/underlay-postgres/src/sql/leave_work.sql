SELECT leave_work($1)
