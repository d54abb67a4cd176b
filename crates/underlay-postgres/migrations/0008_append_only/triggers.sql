CREATE TRIGGER events_are_not_changed BEFORE UPDATE OR DELETE ON {schema}.events
FOR EACH ROW EXECUTE FUNCTION {schema}.refuse_change();

CREATE TRIGGER events_are_not_truncated BEFORE TRUNCATE ON {schema}.events
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change();

-- What wrote events stays for ever, whoever asks.
CREATE TRIGGER commits_are_not_deleted BEFORE DELETE ON {schema}.commits
FOR EACH ROW WHEN (OLD.event_count > 0) EXECUTE FUNCTION {schema}.refuse_change();

CREATE TRIGGER commits_are_not_truncated BEFORE TRUNCATE ON {schema}.commits
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change();
