-- Refusals, and commands that found nothing to do: they are forgotten after a time.
CREATE INDEX commits_without_events ON commits (recorded_at) WHERE event_count = 0;
