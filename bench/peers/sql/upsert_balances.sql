INSERT INTO balances AS there (account, cents, bookings)
SELECT
    account,
    cents,
    bookings
FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS given (account, cents, bookings)
ON CONFLICT (account) DO UPDATE
SET
    cents = there.cents + excluded.cents,
    bookings = there.bookings + excluded.bookings
