REVOKE ALL ON FUNCTION {schema}.append_batch FROM PUBLIC;
REVOKE ALL ON PROCEDURE {schema}.store_commit_batch FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.append_batch TO {writer};
GRANT EXECUTE ON PROCEDURE {schema}.store_commit_batch TO {writer};

-- It runs as the role that writes the log, as `append` does.
GRANT CREATE ON SCHEMA {schema} TO {append};
ALTER FUNCTION {schema}.append_batch OWNER TO {append};
REVOKE CREATE ON SCHEMA {schema} FROM {append};
