-- What each role may call, and as whom a function runs.

REVOKE ALL ON ALL ROUTINES IN SCHEMA {schema} FROM PUBLIC;

GRANT EXECUTE ON FUNCTION {schema}.append, {schema}.append_one, {schema}.fence TO {writer};
GRANT EXECUTE ON PROCEDURE {schema}.store_commits, {schema}.store_commit, {schema}.raise_fence TO {writer};
GRANT EXECUTE ON FUNCTION {schema}.guard_transaction TO {writer}, {worker};
GRANT EXECUTE ON FUNCTION {schema}.log_bound, {schema}.last_sequence TO {reader}, {worker};
GRANT EXECUTE ON FUNCTION {schema}.position_at TO {worker};
GRANT EXECUTE ON FUNCTION {schema}.import_commits, {schema}.forget_commits TO {worker};
GRANT EXECUTE ON FUNCTION {schema}.move_checkpoint, {schema}.time_now TO {worker};

-- The functions that write the log run as a role that cannot log in and may do nothing else.
GRANT CREATE ON SCHEMA {schema} TO {append};
ALTER FUNCTION {schema}.append OWNER TO {append};
ALTER FUNCTION {schema}.append_one OWNER TO {append};
ALTER FUNCTION {schema}.fence OWNER TO {append};
ALTER FUNCTION {schema}.log_bound OWNER TO {append};
ALTER FUNCTION {schema}.import_commits OWNER TO {append};
ALTER FUNCTION {schema}.last_sequence OWNER TO {append};
ALTER FUNCTION {schema}.forget_commits OWNER TO {append};
REVOKE CREATE ON SCHEMA {schema} FROM {append};
