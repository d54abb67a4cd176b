GRANT DELETE ON {schema}.schedules TO {writer};

REVOKE ALL ON FUNCTION {schema}.remove_schedule FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.remove_schedule TO {writer};
