-- Refuses to go on where the last commit whose work a process has seen is not the one of that number: this log
-- is another one, and its places are other work's. A commit may be forgotten, and the last one never is.
CREATE FUNCTION {schema}.check_work_log(seen_sequence bigint, seen_commit uuid) RETURNS void
LANGUAGE plpgsql
STABLE
AS $$
BEGIN
    IF seen_sequence IS NULL THEN
        RETURN;
    END IF;
    IF coalesce((SELECT c.sequence FROM commits AS c ORDER BY c.sequence DESC LIMIT 1), 0) < seen_sequence
        OR EXISTS (SELECT FROM commits AS c WHERE c.sequence = seen_sequence AND c.commit_id <> seen_commit)
    THEN
        RAISE EXCEPTION 'the last work this process has seen is not at its place' USING ERRCODE = 'UL006';
    END IF;
END
$$;
