-- Keeps the work with a scheduler until the transaction ends, or gives it to it where no shard is held. Where the work
-- stays with another, it tells which, and the name of one of its workers.
--
-- Who has the work and who holds a shard are read in one look: between two, a worker of the caller's own scheduler
-- could take the work, and the caller would be told to wait for the scheduler that had it before.
CREATE OR REPLACE FUNCTION {schema}.claim_work(
    scheduler text,
    stamp bigint,
    OUT waits_for text,
    OUT waits_for_holder text
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    there text;
    holder text;
BEGIN
    SELECT
        w.scheduler,
        work_holder(claim_work.stamp)
    INTO there, holder
    FROM work_scheduler AS w;
    IF there = claim_work.scheduler THEN
        SELECT w.scheduler INTO there FROM work_scheduler AS w FOR SHARE;
        holder := work_holder(claim_work.stamp);
    -- Who only waits locks nothing, so that nobody who works waits for it.
    ELSIF holder IS NULL THEN
        SELECT w.scheduler INTO there FROM work_scheduler AS w FOR UPDATE;
        holder := work_holder(claim_work.stamp);
        IF there <> claim_work.scheduler AND holder IS NULL THEN
            UPDATE work_scheduler SET scheduler = claim_work.scheduler;
            there := claim_work.scheduler;
        END IF;
    END IF;
    IF there <> claim_work.scheduler THEN
        claim_work.waits_for := there;
        -- Those who hold the work may have left since.
        claim_work.waits_for_holder := coalesce(holder, '');
    END IF;
END
$$;
