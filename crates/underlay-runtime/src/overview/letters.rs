//! What a person does with dead letters, one by one or all of a filter, and who did it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use underlay_core::limits::WORK_PAGE_MAX;
use underlay_core::{
    Error, ReplyTo, TenantId, WorkFilter, WorkId, WorkInfo, WorkKind, WorkList, WorkPlace, WorkQueue,
};

use crate::Engine;
use crate::commands::told_process;

/// What becomes of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterOrder {
    /// It is due again at once, with all its attempts.
    Replay,
    /// It is removed for ever, and what stood behind it goes on.
    Discard,
}

impl LetterOrder {
    /// What was done, for people.
    #[must_use]
    pub fn done(self) -> &'static str {
        match self {
            Self::Replay => "replayed",
            Self::Discard => "discarded",
        }
    }
}

/// The dead letters that a filter finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LetterCount {
    /// How many there are.
    pub count: usize,
    /// Those of them that no replay makes due again: commands of which a process was told that they failed.
    pub told: usize,
    /// Where the last of them stands. One that dies later, or again, may stand before it too.
    pub last: WorkPlace,
}

/// The dead letters that are settled in one go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterChoice {
    /// What they are found by.
    pub filter: WorkFilter,
    /// Of what the filter finds, those alone; all of it where none are named.
    pub ids: Option<BTreeSet<WorkId>>,
    /// The place that the search begins after.
    pub after: WorkPlace,
}

/// What became of dead letters that were settled in one go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LettersSettled {
    /// How many were replayed or discarded.
    pub count: usize,
    /// How many stay: commands of which a process was told that they failed, which no replay makes due again.
    pub told: usize,
    /// Where the search goes on; none where it has come to the end.
    pub next: Option<WorkPlace>,
    /// How many it has looked at.
    looked_at: usize,
}

impl LettersSettled {
    fn and(self, later: Self) -> Self {
        Self {
            count: self.count + later.count,
            told: self.told + later.told,
            next: later.next,
            looked_at: self.looked_at + later.looked_at,
        }
    }
}

impl Engine {
    /// The queues of this store.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it keeps no work.
    pub fn queue(&self) -> Result<&Arc<dyn WorkQueue>, Error> {
        let work = self.ports().work.as_ref().map(|work| &work.queue);
        work.ok_or_else(|| Error::NotFound("a queue of work in this store".to_owned()))
    }

    /// Dead letters in the order of places, after one, whatever the filter says of that.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the store keeps no work; what the store says.
    pub async fn dead_letters(
        &self,
        filter: &WorkFilter,
        after: WorkPlace,
        limit: usize,
    ) -> Result<WorkList, Error> {
        self.queue()?.list_work(&WorkFilter { dead: true, ..filter.clone() }, after, limit).await
    }

    /// Finds a dead letter by its id: of one tenant, or of all for the operator. It looks through all that the
    /// filter finds.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none; what the store says.
    pub async fn find_dead_letter(&self, filter: &WorkFilter, id: WorkId) -> Result<WorkInfo, Error> {
        let mut after = WorkPlace::START;
        loop {
            let page = self.dead_letters(filter, after, WORK_PAGE_MAX).await?;
            let next = page.next();
            if let Some(found) = page.work.into_iter().find(|letter| letter.work.id == id) {
                return Ok(found);
            }
            let Some(next) = next else { return Err(not_found(id)) };
            after = next;
        }
    }

    /// Counts the dead letters that a filter finds.
    ///
    /// # Errors
    /// As [`Engine::dead_letters`].
    pub async fn count_dead_letters(&self, filter: &WorkFilter) -> Result<LetterCount, Error> {
        let mut counted = LetterCount::default();
        loop {
            let page = self.dead_letters(filter, counted.last, WORK_PAGE_MAX).await?;
            let told = page.work.iter().filter(|letter| told_process(&letter.work).is_some()).count();
            counted = LetterCount {
                count: counted.count + page.work.len(),
                told: counted.told + told,
                last: page.work.last().map_or(counted.last, |last| last.work.place),
            };
            if page.at_end {
                return Ok(counted);
            }
        }
    }

    /// Replays or discards one dead letter of a tenant. The log of the service says who ordered it.
    ///
    /// A command is not replayed where a process was told that it failed: the process has gone on by that. To see
    /// this, all commands of the tenant that were given up may be read.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the tenant has no such dead letter; [`Error::Invalid`] where it cannot be replayed,
    /// with what to do instead; what the store says.
    pub async fn settle_dead_letter(
        &self,
        order: LetterOrder,
        tenant: &TenantId,
        id: WorkId,
        by: &str,
    ) -> Result<(), Error> {
        if order == LetterOrder::Replay {
            self.check_replay(tenant, id).await?;
        }
        match self.settle_letters(order, tenant, &[id], by).await? {
            0 => Err(not_found(id)),
            _ => Ok(()),
        }
    }

    /// That no process was told of the failure.
    async fn check_replay(&self, tenant: &TenantId, id: WorkId) -> Result<(), Error> {
        let (tenant, kind) = (Some(tenant.clone()), Some(WorkKind::Command));
        let commands = WorkFilter { tenant, kind, ..WorkFilter::default() };
        let letter = match self.find_dead_letter(&commands, id).await {
            Ok(letter) => letter,
            // It is of another kind, or there is none.
            Err(Error::NotFound(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let Some(ReplyTo { process, instance, name }) = told_process(&letter.work) else { return Ok(()) };
        Err(Error::invalid(format!(
            "dead letter {id} cannot be replayed: process {process} was told that {name} failed, and its instance \
             {instance} has gone on by that. Look at the instance; discard the dead letter, and where the command is \
             still wanted, give it again as a new one"
        )))
    }

    /// Replays or discards every dead letter that a filter finds, up to a place: what a person was shown the number
    /// of. Those that die meanwhile stand behind it. Says how many there were. Commands of which a process was told
    /// are not replayed, and not counted then.
    ///
    /// # Errors
    /// What the store says; what was done until then is done.
    pub async fn settle_dead_letters(
        &self,
        order: LetterOrder,
        filter: &WorkFilter,
        up_to: WorkPlace,
        by: &str,
    ) -> Result<usize, Error> {
        let mut choice = LetterChoice { filter: filter.clone(), ..LetterChoice::default() };
        let mut settled = 0;
        loop {
            let page = self.settle_page(order, &choice, up_to, WORK_PAGE_MAX, by).await?;
            settled += page.count;
            let Some(next) = page.next else { return Ok(settled) };
            choice.after = next;
        }
    }

    /// Replays or discards the dead letters of a choice: of those that are named all that there are, of the others as
    /// many as `limit`. Commands of which a process was told are not replayed.
    ///
    /// # Errors
    /// What the store says; what was done until then is done.
    pub async fn settle_chosen_letters(
        &self,
        order: LetterOrder,
        choice: &LetterChoice,
        limit: usize,
        by: &str,
    ) -> Result<LettersSettled, Error> {
        let (mut choice, named) = (choice.clone(), choice.ids.as_ref().map(BTreeSet::len));
        let mut settled = LettersSettled::default();
        loop {
            let part = if named.is_some() { WORK_PAGE_MAX } else { limit - settled.looked_at };
            let up_to = WorkPlace::from_number(u64::MAX);
            settled =
                settled.and(self.settle_page(order, &choice, up_to, part.min(WORK_PAGE_MAX), by).await?);
            let is_whole = match named {
                Some(named) => settled.count + settled.told >= named,
                None => settled.looked_at >= limit,
            };
            match settled.next {
                Some(next) if !is_whole => choice.after = next,
                _ if named.is_some() => return Ok(LettersSettled { next: None, ..settled }),
                _ => return Ok(settled),
            }
        }
    }

    /// Settles what is chosen of one page of dead letters, up to a place.
    async fn settle_page(
        &self,
        order: LetterOrder,
        choice: &LetterChoice,
        up_to: WorkPlace,
        limit: usize,
        by: &str,
    ) -> Result<LettersSettled, Error> {
        let page = self.dead_letters(&choice.filter, choice.after, limit).await?;
        let next = page.next().filter(|next| *next < up_to);
        let mut settled = LettersSettled { next, looked_at: page.work.len(), ..LettersSettled::default() };
        let mut of_tenants: BTreeMap<TenantId, Vec<WorkId>> = BTreeMap::new();
        let is_chosen =
            |letter: &WorkInfo| choice.ids.as_ref().is_none_or(|ids| ids.contains(&letter.work.id));
        let shown = page.work.into_iter().take_while(|letter| letter.work.place <= up_to);
        for letter in shown.filter(is_chosen) {
            if order == LetterOrder::Replay && told_process(&letter.work).is_some() {
                settled.told += 1;
            } else {
                of_tenants.entry(letter.work.tenant).or_default().push(letter.work.id);
            }
        }
        for (tenant, ids) in of_tenants {
            settled.count += self.settle_letters(order, &tenant, &ids, by).await?;
        }
        Ok(settled)
    }

    async fn settle_letters(
        &self,
        order: LetterOrder,
        tenant: &TenantId,
        ids: &[WorkId],
        by: &str,
    ) -> Result<usize, Error> {
        let queue = self.queue()?;
        let count = match order {
            LetterOrder::Replay => queue.replay(tenant, ids).await?,
            LetterOrder::Discard => queue.discard(tenant, ids).await?,
        };
        if count > 0 {
            let first = ids.first().map(ToString::to_string).unwrap_or_default();
            tracing::warn!(by, %tenant, count, first, "dead letters are {} by order of a person", order.done());
        }
        Ok(count)
    }
}

fn not_found(id: WorkId) -> Error {
    Error::NotFound(format!("dead letter {id}"))
}
