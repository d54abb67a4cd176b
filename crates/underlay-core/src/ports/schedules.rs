use async_trait::async_trait;

use crate::words::limits::{SCHEDULE_BYTES_MAX, SCHEDULE_NAME_BYTES_MAX, WORK_PAGE_MAX};
use crate::words::{Error, Json, TenantId, Timestamp};

/// Something that is due again and again, as a store holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name within the tenant: 1 to [`SCHEDULE_NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// When it is due and what is to be done then; the store does not read it.
    pub definition: Json,
    /// The next moment it is due; `None` where it never is again.
    pub next_due_at: Option<Timestamp>,
    /// Counts how often it was put. The first has 1, or one more than the highest of those that the tenant removed.
    pub revision: u64,
}

/// Schedules of tenants. A store keeps them and finds those that are due; what a moment leads to is the
/// engine's.
///
/// The contract, each sentence with the conformance case that attacks it:
///
/// 1. *What is put is listed as it was put, under its tenant alone, also after reopening; another put in its place has the next revision.* `a_schedule_is_kept_by_its_tenant`
/// 2. *Those that are due at a moment are found over all tenants, the longest due first, then in the order of tenants and names, by page.* `what_is_due_is_found`
/// 3. *Of several who move a schedule on from one moment, one does; one that was put anew or removed meanwhile is left as it is.* `a_schedule_moves_on_once`
/// 4. *A removed schedule is due no more.* `a_removed_schedule_is_due_no_more`
/// 5. *Lists are in the order of tenants and names, by page.* `schedules_are_listed`
/// 6. *What exceeds a limit is `Invalid` with the limit's name.* `limits_of_schedules_are_named`
/// 7. *What is put again by the same definition stays as it is, with its revision and its next moment, also where several put it at once.* `the_same_put_again_changes_nothing`
/// 8. *A new schedule begins above the revisions of all that its tenant removed, also after reopening.* `a_new_schedule_begins_above_those_that_were_removed`
#[async_trait]
pub trait Schedules: Send + Sync + 'static {
    /// Puts a schedule, in place of one of that name, and gives it as it stands. One whose definition is the same text
    /// stays as it is, whatever moment comes with the call: who asks again later must not pass over a moment that is
    /// due.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a limit is exceeded, also [`SCHEDULE_BYTES_MAX`] of the definition and
    /// [`SCHEDULES_MAX`](crate::words::limits::SCHEDULES_MAX) of the tenant; [`Error::Unavailable`].
    async fn put_schedule(
        &self,
        tenant: &TenantId,
        name: &str,
        definition: &Json,
        next_due_at: Option<Timestamp>,
    ) -> Result<Schedule, Error>;

    /// Removes a schedule; whether there was one.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the name exceeds its limit; [`Error::Unavailable`].
    async fn remove_schedule(&self, tenant: &TenantId, name: &str) -> Result<bool, Error>;

    /// Lists schedules in the order of tenants and names, after one: of a tenant, or of all for the operator.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `limit` is not 1 to [`WORK_PAGE_MAX`] or the name exceeds its limit;
    /// [`Error::Unavailable`].
    async fn list_schedules(
        &self,
        tenant: Option<&TenantId>,
        after: Option<(&TenantId, &str)>,
        limit: usize,
    ) -> Result<Vec<Schedule>, Error>;

    /// Those whose next moment is at or before `now`, the longest due first, after the place of one: its next moment,
    /// its tenant and its name. So those that stay due keep nobody from what is due after them.
    ///
    /// # Errors
    /// As [`Schedules::list_schedules`].
    async fn due_schedules(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, &TenantId, &str)>,
        limit: usize,
    ) -> Result<Vec<Schedule>, Error>;

    /// Moves a schedule on, where it still has the revision and the next moment of `seen`; whether it did.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn advance_schedule(&self, seen: &Schedule, next_due_at: Option<Timestamp>) -> Result<bool, Error>;
}

/// Checks a schedule's name. Adapters call it first.
///
/// # Errors
/// [`Error::Invalid`] that names the limit.
pub fn check_schedule_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > SCHEDULE_NAME_BYTES_MAX || name.contains(char::is_control) {
        return Err(Error::invalid(format!(
            "the name of a schedule has 1 to SCHEDULE_NAME_BYTES_MAX = {SCHEDULE_NAME_BYTES_MAX} bytes and no control \
             characters, this one has {}",
            name.len()
        )));
    }
    Ok(())
}

/// Checks the size of a schedule's definition. Adapters call it before they store one.
///
/// # Errors
/// [`Error::Invalid`] that names the limit.
pub fn check_schedule_definition(definition: &Json) -> Result<(), Error> {
    if definition.bytes() > SCHEDULE_BYTES_MAX {
        return Err(Error::invalid(format!(
            "the definition of a schedule has {} bytes, which exceeds SCHEDULE_BYTES_MAX = {SCHEDULE_BYTES_MAX}; give the \
             command a smaller body",
            definition.bytes()
        )));
    }
    Ok(())
}

/// Checks how many schedules a page is asked for. Adapters call it first.
///
/// # Errors
/// [`Error::Invalid`] that names the limit.
pub fn check_schedule_limit(limit: usize) -> Result<(), Error> {
    if limit == 0 || limit > WORK_PAGE_MAX {
        return Err(Error::invalid(format!(
            "a page of {limit} schedules; ask for 1 to WORK_PAGE_MAX = {WORK_PAGE_MAX}"
        )));
    }
    Ok(())
}
