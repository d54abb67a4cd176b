use underlay_core::{Aggregate, Context, Decision};
use underlay_derive::{command, event, refusal, snapshot};

use crate::{Booking, Fields, Result, number_in};

/// A booking as our store has it.
#[event(crate = underlay_core)]
pub enum AccountEvent {
    /// Money came.
    #[event(name = "deposited", version = 1)]
    Deposited {
        /// The account it is booked on.
        account: String,
        /// The amount.
        cents: i64,
        /// Always the same.
        currency: String,
        /// Says which booking it is.
        reference: String,
        /// Another account.
        counterparty: String,
        /// For a person.
        note: String,
    },
    /// Money went.
    #[event(name = "withdrawn", version = 1)]
    Withdrawn {
        /// The account it is booked on.
        account: String,
        /// The amount.
        cents: i64,
        /// Always the same.
        currency: String,
        /// Says which booking it is.
        reference: String,
        /// Another account.
        counterparty: String,
        /// For a person.
        note: String,
    },
}

impl AccountEvent {
    /// The event of a booking.
    #[must_use]
    pub fn of(booking: Booking) -> Self {
        let Fields { account, cents, currency, reference, counterparty, note } = booking.fields();
        if booking.is_deposit() {
            Self::Deposited { account, cents, currency, reference, counterparty, note }
        } else {
            Self::Withdrawn { account, cents, currency, reference, counterparty, note }
        }
    }

    /// What it adds to the balance.
    #[must_use]
    pub fn cents(&self) -> i64 {
        match self {
            Self::Deposited { cents, .. } => *cents,
            Self::Withdrawn { cents, .. } => -cents,
        }
    }

    /// The number of the booking.
    ///
    /// # Errors
    /// Where it is the event of no booking.
    pub fn number(&self) -> Result<u64> {
        number_in(self.reference())
    }

    fn reference(&self) -> &str {
        let (Self::Deposited { reference, .. } | Self::Withdrawn { reference, .. }) = self;
        reference
    }
}

/// What can be asked of an account.
#[command(crate = underlay_core)]
pub enum AccountCommand {
    /// To say whether it is open. It changes nothing.
    #[command(name = "look")]
    Look,
}

/// Why an account says no.
#[refusal(crate = underlay_core)]
pub enum AccountRefusal {
    /// Nothing was ever booked on it.
    #[refusal(code = "closed", message = "the account is closed")]
    Closed,
}

/// An account, as its bookings make it.
#[snapshot(every = 500, crate = underlay_core)]
#[derive(Default)]
pub struct Account {
    /// The balance.
    pub cents: i64,
    /// How many bookings there were.
    pub bookings: u64,
    /// The reference of the last.
    pub last_reference: String,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Id = u64;
    type Command = AccountCommand;
    type Event = AccountEvent;
    type Refusal = AccountRefusal;

    fn decide(
        &self,
        command: AccountCommand,
        _: &Context,
    ) -> std::result::Result<Decision<AccountEvent>, AccountRefusal> {
        match command {
            AccountCommand::Look if self.bookings == 0 => Err(AccountRefusal::Closed),
            AccountCommand::Look => Ok(Decision::nothing()),
        }
    }

    fn evolve(&mut self, event: &AccountEvent) {
        self.cents += event.cents();
        self.bookings += 1;
        event.reference().clone_into(&mut self.last_reference);
    }
}

#[cfg(test)]
mod tests {
    use underlay_core::NewEvent;

    use super::*;

    #[test]
    fn payloads_have_about_two_hundred_bytes() {
        for number in [0, 1, 99_999, 5_000_000] {
            let event = AccountEvent::of(Booking { account: 6_399, number });
            let payload = NewEvent::encode(&event).unwrap().payload.text().clone();
            assert!((190..=220).contains(&payload.as_str().len()), "{}: {payload:?}", payload.as_str().len());
            assert_eq!(event.number().unwrap(), number);
            assert_eq!(event.cents() > 0, number % 2 == 0);
        }
    }
}
