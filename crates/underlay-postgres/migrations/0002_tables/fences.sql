-- Attempts of a writer that are void: their answer was lost and they were found not to be stored.
CREATE TABLE {schema}.fences (
    writer uuid PRIMARY KEY,
    attempt bigint NOT NULL,
    raised_at timestamptz NOT NULL DEFAULT now()
);
