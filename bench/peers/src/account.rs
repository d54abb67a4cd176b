//! What is written: bookings of about 200 bytes on accounts, as the peers store them.

use figures::{Booking, Fields, number_in};
use serde::{Deserialize, Serialize};

use crate::Result;

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

impl AccountEvent {
    /// The event of a booking.
    pub(crate) fn of(booking: Booking) -> Self {
        let Fields { account, cents, currency, reference, counterparty, note } = booking.fields();
        if booking.is_deposit() {
            Self::Deposited { account, cents, currency, reference, counterparty, note }
        } else {
            Self::Withdrawn { account, cents, currency, reference, counterparty, note }
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_have_about_two_hundred_bytes() {
        for number in [0, 1, 99_999, 5_000_000] {
            let event = AccountEvent::of(Booking { account: 6_399, number });
            let text = serde_json::to_string(&event).unwrap();
            assert!((200..=240).contains(&text.len()), "{} bytes: {text}", text.len());
        }
    }
}
