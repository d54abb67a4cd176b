-- `share_shards` for programs that know of no scheduler.
CREATE OR REPLACE FUNCTION {schema}.share_work(
    worker uuid,
    holder text,
    span bigint,
    stamp bigint,
    cursor_shards smallint[],
    cursors_urgent bigint[],
    cursors_normal bigint[],
    seen_sequence bigint,
    seen_commit uuid,
    OUT shards smallint[],
    OUT terms bigint[],
    OUT urgent bigint[],
    OUT normal bigint[],
    OUT suspects bigint[],
    OUT part bigint,
    OUT look_in bigint
)
LANGUAGE sql
SET search_path = pg_catalog, {schema}, pg_temp
AS $$
    SELECT
        given.shards,
        given.terms,
        given.urgent,
        given.normal,
        given.suspects,
        given.part,
        given.look_in
    FROM share_shards(
        share_work.worker,
        share_work.holder,
        'embedded',
        share_work.span,
        share_work.stamp,
        share_work.cursor_shards,
        share_work.cursors_urgent,
        share_work.cursors_normal,
        share_work.seen_sequence,
        share_work.seen_commit
    ) AS given
$$;
