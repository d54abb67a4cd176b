-- Undoes the changes of entities of a commit that was not stored.
SELECT {schema}.expect_rows((current_setting('underlay.ended')::bigint >= 0)::integer, 1)
