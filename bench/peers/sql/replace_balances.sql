DO $$
BEGIN
    DROP TABLE IF EXISTS balances;
    CREATE TABLE balances (
        account text PRIMARY KEY,
        cents bigint NOT NULL,
        bookings bigint NOT NULL
    );
END
$$
