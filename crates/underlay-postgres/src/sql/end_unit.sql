-- A statement timeout would end the wait for a standby too, and what the standby lacks would be acknowledged.
SELECT set_config('statement_timeout', '0', true)
