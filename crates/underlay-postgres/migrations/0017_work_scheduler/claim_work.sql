-- Keeps the work with a scheduler until the transaction ends, or gives it to it where no shard is held. Where the work
-- stays with another, it tells which, and the name of one of its workers.
CREATE FUNCTION {schema}.claim_work(
    scheduler text,
    stamp bigint,
    OUT waits_for text,
    OUT waits_for_holder text
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    there text := (SELECT w.scheduler FROM work_scheduler AS w);
BEGIN
    IF there = claim_work.scheduler THEN
        SELECT w.scheduler INTO there FROM work_scheduler AS w FOR SHARE;
    -- Who only waits locks nothing, so that nobody who works waits for it.
    ELSIF work_holder(claim_work.stamp) IS NULL THEN
        SELECT w.scheduler INTO there FROM work_scheduler AS w FOR UPDATE;
        IF there <> claim_work.scheduler AND work_holder(claim_work.stamp) IS NULL THEN
            UPDATE work_scheduler SET scheduler = claim_work.scheduler;
            there := claim_work.scheduler;
        END IF;
    END IF;
    IF there <> claim_work.scheduler THEN
        claim_work.waits_for := there;
        -- Those who hold the work may have left since.
        claim_work.waits_for_holder := coalesce(work_holder(claim_work.stamp), '');
    END IF;
END
$$;
