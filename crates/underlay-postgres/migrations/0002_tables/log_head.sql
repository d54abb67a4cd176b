-- One row: whoever writes the log locks it until its transaction has ended, so position order is
-- commit order. It is locked and never changed: it leaves no dead version behind.
CREATE TABLE {schema}.log_head (
    one integer PRIMARY KEY DEFAULT 1 CHECK (one = 1)
);

INSERT INTO {schema}.log_head DEFAULT VALUES;
