use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::words::limits::{LEASE_NAME_BYTES_MAX, LEASE_SECONDS_MAX};
use crate::words::{Error, Timestamp};

/// The identity of one acquisition of a lease. Terms count in the store, and where an older copy of it comes
/// back the same one is given again, to somebody else; an id is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseId(pub Uuid);

impl LeaseId {
    /// Draws a new id, ordered by time (UUID version 7).
    #[must_use]
    pub fn draw() -> Self {
        Self(Uuid::now_v7())
    }
}

/// The right to do a piece of work alone, for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The work: 1 to [`LEASE_NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// Who has it: 1 to [`LEASE_NAME_BYTES_MAX`] bytes, for a person to read.
    pub holder: String,
    /// Counts the holders; the first has 1.
    pub term: u64,
    /// Of this acquisition, drawn for it.
    pub id: LeaseId,
    /// When it runs out, by the clock of the store.
    pub expires_at: Timestamp,
}

impl Lease {
    /// What a write under this lease names.
    #[must_use]
    pub fn term(&self) -> LeaseTerm {
        LeaseTerm { name: self.name.clone(), term: self.term, id: self.id }
    }
}

/// The term of a lease that a write is stored under: once the lease has run out, or somebody else has
/// it, the write is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseTerm {
    /// The work.
    pub name: String,
    /// The term.
    pub term: u64,
    /// Of the acquisition that the term was given to.
    pub id: LeaseId,
}

impl LeaseTerm {
    /// That it does not hold any more.
    #[must_use]
    pub fn lost(&self) -> Error {
        Error::LeaseLost { name: self.name.clone(), term: self.term }
    }
}

/// Who may do what at the moment: one holder for each name.
///
/// A lease is a hint to others and a fence for its holder. A process that was paused does not know how
/// long; so a write under a lease names the term and the id of the acquisition, and the store that takes the
/// write compares both, in the transaction of the write.
///
/// The contract, each sentence with the conformance case that attacks it:
///
/// 1. *Of several who ask for a free lease at the same time, one gets it.* `one_of_many_gets_the_lease`
/// 2. *While a lease is held nobody gets it, its holder neither; once it has run out, whoever asks first does.* `a_lease_runs_out`
/// 3. *Every holder has a higher term than the one before, also after a release and after reopening.* `terms_only_grow`
/// 4. *Renewing keeps the term and moves the end; a lease that ran out or is another's is `LeaseLost`.* `who_lost_a_lease_cannot_renew_it`
/// 5. *A released lease is free at once; releasing a lost one changes nothing.* `a_released_lease_is_free`
/// 6. *Rows and checkpoint under a lease that is lost are not stored.* `a_lost_lease_stores_nothing`
/// 7. *What exceeds a limit is `Invalid` with the limit's name.* `limits_of_leases_are_named`
/// 8. *Who holds a lease is found, with the term and the end; of a free one nobody is.* `who_holds_a_lease_is_found`
/// 9. *Every acquisition has an id of its own; of two with one term, that which is stored holds, and the other is lost.* `a_term_given_twice_is_its_last_holders`
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// Takes a lease for `duration` where nobody holds it; `None` where somebody does.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a name or the duration exceeds its limit; [`Error::Unavailable`].
    async fn acquire(&self, name: &str, holder: &str, duration: Duration) -> Result<Option<Lease>, Error>;

    /// Holds a lease for `duration` from now on.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] where it ran out or somebody else has it; [`Error::Invalid`],
    /// [`Error::Unavailable`].
    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<Lease, Error>;

    /// Who holds a lease at the moment; `None` where it is free.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn find(&self, name: &str) -> Result<Option<Lease>, Error>;

    /// Gives a lease back; one that was lost is left as it is.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn release(&self, lease: &Lease) -> Result<(), Error>;
}

/// Checks what a lease is asked for with. Adapters call it first.
///
/// # Errors
/// [`Error::Invalid`] that names the limit.
pub fn check_lease(name: &str, holder: &str, duration: Duration) -> Result<(), Error> {
    for (what, text) in [("name", name), ("holder", holder)] {
        if text.is_empty() || text.len() > LEASE_NAME_BYTES_MAX || text.contains('\0') {
            return Err(Error::invalid(format!(
                "the {what} of a lease has 1 to LEASE_NAME_BYTES_MAX = {LEASE_NAME_BYTES_MAX} bytes and no NUL, \
                 this one has {}",
                text.len()
            )));
        }
    }
    if duration < Duration::from_millis(1) || duration > Duration::from_secs(LEASE_SECONDS_MAX) {
        return Err(Error::invalid(format!(
            "a lease lasts a millisecond to LEASE_SECONDS_MAX = {LEASE_SECONDS_MAX} seconds, {duration:?} was \
             asked for"
        )));
    }
    Ok(())
}
