-- What each role may do with work, and what it may call.

GRANT SELECT, INSERT ON {schema}.work, {schema}.work_later TO {append};
GRANT SELECT ON {schema}.dead_letters, {schema}.work_shards TO {append};
GRANT SELECT, UPDATE, DELETE ON {schema}.work TO {worker};
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.work_later TO {worker};
GRANT SELECT, INSERT, DELETE ON {schema}.dead_letters TO {worker};
-- To lock it.
GRANT SELECT, UPDATE ON {schema}.work_shards TO {worker};
GRANT SELECT, INSERT, DELETE ON {schema}.shard_terms TO {worker};
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.workers TO {worker};
GRANT SELECT ON {schema}.work, {schema}.work_later, {schema}.dead_letters TO {reader};

REVOKE ALL
ON FUNCTION
    {schema}.stopped_commits,
    {schema}.append_work,
    {schema}.check_work_log,
    {schema}.shard_term,
    {schema}.ready_row,
    {schema}.line_is_blocked,
    {schema}.move_shard,
    {schema}.share_work,
    {schema}.release_shards,
    {schema}.leave_work,
    {schema}.release_line,
    {schema}.lost_shards,
    {schema}.begin_work,
    {schema}.settle_work,
    {schema}.lock_lines,
    {schema}.replay_work,
    {schema}.discard_work
FROM PUBLIC;
REVOKE ALL ON PROCEDURE {schema}.store_commits_and_work FROM PUBLIC;

GRANT EXECUTE ON FUNCTION {schema}.append_work TO {writer};
GRANT EXECUTE ON PROCEDURE {schema}.store_commits_and_work TO {writer};
GRANT EXECUTE
ON FUNCTION
    {schema}.check_work_log,
    {schema}.shard_term,
    {schema}.ready_row,
    {schema}.line_is_blocked,
    {schema}.move_shard,
    {schema}.share_work,
    {schema}.release_shards,
    {schema}.leave_work,
    {schema}.release_line,
    {schema}.lost_shards,
    {schema}.begin_work,
    {schema}.settle_work,
    {schema}.lock_lines,
    {schema}.replay_work,
    {schema}.discard_work
TO {worker};

-- A reader looks for a piece of the tenant it has named, in what it may see.
GRANT EXECUTE ON FUNCTION {schema}.ready_row TO {reader};

GRANT CREATE ON SCHEMA {schema} TO {append};
ALTER FUNCTION {schema}.stopped_commits OWNER TO {append};
ALTER FUNCTION {schema}.append_work OWNER TO {append};
REVOKE CREATE ON SCHEMA {schema} FROM {append};
