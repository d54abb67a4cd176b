-- Undoes the changes of entities of a commit that was not stored.
SELECT {schema}.expect_rows(
    (coalesce(nullif(current_setting('underlay.ended', true), '')::bigint, -1) >= 0)::integer,
    1
)
