-- How long a unit waits for an entity that another one changes, or that is about to be extended.
SELECT set_config('lock_timeout', '5s', true)
