-- Workers read work.
REVOKE ALL ON FUNCTION {schema}.ready_work, {schema}.due_work FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.ready_work, {schema}.due_work TO {worker};
