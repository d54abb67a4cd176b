//! What is written: bookings of about 200 bytes on accounts.

use serde::{Deserialize, Serialize};

use crate::Result;

/// A booking to be stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Booking {
    pub(crate) account: u64,
    /// Which booking of the run it is. No two have the same.
    pub(crate) number: u64,
}

/// The event as the peers store it, with a name of its own in JSON for each variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, disintegrate::Event)]
#[serde(tag = "type")]
pub(crate) enum AccountEvent {
    Deposited {
        #[id]
        account: String,
        cents: i64,
        currency: String,
        reference: String,
        counterparty: String,
        note: String,
    },
    Withdrawn {
        #[id]
        account: String,
        cents: i64,
        currency: String,
        reference: String,
        counterparty: String,
        note: String,
    },
}

/// What the text of a booking is made of.
pub(crate) struct Fields {
    pub(crate) account: String,
    pub(crate) cents: i64,
    pub(crate) currency: String,
    pub(crate) reference: String,
    pub(crate) counterparty: String,
    pub(crate) note: String,
}

impl Booking {
    pub(crate) fn account_id(self) -> String {
        self.account.to_string()
    }

    /// The stream of the account, where a store has streams.
    pub(crate) fn stream(self) -> String {
        format!("account-{}", self.account)
    }

    pub(crate) fn is_deposit(self) -> bool {
        self.number.is_multiple_of(2)
    }

    pub(crate) fn fields(self) -> Fields {
        let number = self.number;
        Fields {
            account: self.account_id(),
            cents: (number * 7_919 % 100_000) as i64 + 1,
            currency: "EUR".to_owned(),
            reference: format!("RF18-5390-0754-{number:010}"),
            counterparty: format!("DE8937040044{:010}", number * 104_729 % 10_000_000_000),
            note: format!("invoice 2026-{number:06}, goods as ordered, due within thirty days net"),
        }
    }

    pub(crate) fn event(self) -> AccountEvent {
        let Fields { account, cents, currency, reference, counterparty, note } = self.fields();
        if self.is_deposit() {
            AccountEvent::Deposited { account, cents, currency, reference, counterparty, note }
        } else {
            AccountEvent::Withdrawn { account, cents, currency, reference, counterparty, note }
        }
    }
}

impl AccountEvent {
    pub(crate) const DEPOSITED: &'static str = "Deposited";
    pub(crate) const WITHDRAWN: &'static str = "Withdrawn";

    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Deposited { .. } => Self::DEPOSITED,
            Self::Withdrawn { .. } => Self::WITHDRAWN,
        }
    }

    pub(crate) fn account(&self) -> &str {
        let (Self::Deposited { account, .. } | Self::Withdrawn { account, .. }) = self;
        account
    }

    /// What the event adds to the balance.
    pub(crate) fn cents(&self) -> i64 {
        match self {
            Self::Deposited { cents, .. } => *cents,
            Self::Withdrawn { cents, .. } => -cents,
        }
    }

    /// The number of the booking.
    pub(crate) fn number(&self) -> Result<u64> {
        let (Self::Deposited { reference, .. } | Self::Withdrawn { reference, .. }) = self;
        number_in(reference)
    }
}

/// The number of a booking by its reference.
pub(crate) fn number_in(reference: &str) -> Result<u64> {
    let number = reference.rsplit('-').next().unwrap_or_default();
    Ok(number.parse().map_err(|error| format!("{reference:?} is no reference of a booking: {error}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_have_about_two_hundred_bytes() {
        for number in [0, 1, 99_999, 5_000_000] {
            let event = Booking { account: 6_399, number }.event();
            let text = serde_json::to_string(&event).unwrap();
            assert!((200..=240).contains(&text.len()), "{} bytes: {text}", text.len());
        }
    }

    #[test]
    fn a_booking_is_known_by_its_reference() {
        let event = Booking { account: 1, number: 4_711 }.event();
        assert_eq!(event.number().unwrap(), 4_711);
        assert!(number_in("RF18").is_err());
    }
}
