-- `position` is that of the last event, or the head of the log where there is none.
-- `sequence` is the order they were stored in, for an export.
CREATE TABLE commits (
    sequence INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    commit_id BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('accepted', 'refused')),
    code TEXT,
    message TEXT,
    body TEXT,
    position INTEGER NOT NULL,
    event_count INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    UNIQUE (tenant, commit_id)
) STRICT;

-- Only refusals have a body, until it is forgotten.
CREATE INDEX commits_with_body ON commits (recorded_at) WHERE body IS NOT NULL;

-- Refusals, and commands that found nothing to do: they are forgotten after a time.
CREATE INDEX commits_without_events ON commits (recorded_at) WHERE event_count = 0;
