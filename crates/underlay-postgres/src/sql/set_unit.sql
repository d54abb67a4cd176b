-- How long a unit waits for an entity that another one changes, and when the server gives it up. Nothing else limits its
-- statements: a limit of one would end the wait for a standby too, and what the standby lacks would be acknowledged.
SELECT
    set_config('statement_timeout', '0', true),
    set_config('lock_timeout', '5s', true),
    guard_transaction($1)
