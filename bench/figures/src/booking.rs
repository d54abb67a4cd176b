use crate::Result;

/// A booking to be stored.
#[derive(Clone, Copy, Debug)]
pub struct Booking {
    /// The account it is booked on.
    pub account: u64,
    /// Which booking of the run it is. No two have the same.
    pub number: u64,
}

/// What the text of a booking is made of: about 200 bytes as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// The account it is booked on.
    pub account: String,
    /// The amount; above zero.
    pub cents: i64,
    /// Always the same.
    pub currency: String,
    /// Says which booking it is.
    pub reference: String,
    /// Another account, somewhere else.
    pub counterparty: String,
    /// For a person.
    pub note: String,
}

impl Booking {
    /// The account, as a text.
    #[must_use]
    pub fn account_id(self) -> String {
        self.account.to_string()
    }

    /// The stream of the account, where a store has streams.
    #[must_use]
    pub fn stream(self) -> String {
        format!("account-{}", self.account)
    }

    /// Whether it is a deposit; every second one is.
    #[must_use]
    pub fn is_deposit(self) -> bool {
        self.number.is_multiple_of(2)
    }

    /// What its text is made of.
    #[must_use]
    pub fn fields(self) -> Fields {
        let number = self.number;
        Fields {
            account: self.account_id(),
            // Below a hundred thousand, so the cast is exact.
            cents: (number * 7_919 % 100_000) as i64 + 1,
            currency: "EUR".to_owned(),
            reference: format!("RF18-5390-0754-{number:010}"),
            counterparty: format!("DE8937040044{:010}", number * 104_729 % 10_000_000_000),
            note: format!("invoice 2026-{number:06}, goods as ordered, due within thirty days net"),
        }
    }
}

/// The number of a booking by its reference.
///
/// # Errors
/// Where it is no reference of a booking.
pub fn number_in(reference: &str) -> Result<u64> {
    let number = reference.rsplit('-').next().unwrap_or_default();
    Ok(number.parse().map_err(|error| format!("{reference:?} is no reference of a booking: {error}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_booking_is_known_by_its_reference() {
        let fields = Booking { account: 1, number: 4_711 }.fields();
        assert_eq!(number_in(&fields.reference).unwrap(), 4_711);
        assert!(number_in("RF18").is_err());
    }
}
