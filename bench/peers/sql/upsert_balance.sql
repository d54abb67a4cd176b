INSERT INTO balances AS there (account, cents, bookings)
VALUES ($1, $2, 1)
ON CONFLICT (account) DO UPDATE
SET
    cents = there.cents + excluded.cents,
    bookings = there.bookings + 1
