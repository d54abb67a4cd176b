//! What a person does with dead letters, one by one or all of a filter, and who did it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use underlay_core::limits::WORK_PAGE_MAX;
use underlay_core::{
    Error, ReplyTo, TenantId, WorkFilter, WorkId, WorkInfo, WorkKind, WorkList, WorkPlace, WorkQueue,
};

use crate::Engine;
use crate::commands::told_process;
use crate::work::Holders;

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

    /// The dead letter that holds the line in which a piece of work stands behind others, where one does: of the same
    /// tenant, receiver and key. Of the pieces of a list, each line is looked up once.
    ///
    /// # Errors
    /// As [`Engine::dead_letters`].
    pub async fn find_holder(&self, info: &WorkInfo, holders: &mut Holders) -> Result<Option<WorkId>, Error> {
        holders.of(&**self.queue()?, info).await
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
        let (mut after, mut settled) = (WorkPlace::START, 0);
        loop {
            let page = self.dead_letters(filter, after, WORK_PAGE_MAX).await?;
            let next = page.next().filter(|next| *next < up_to);
            let mut of_tenants: BTreeMap<TenantId, Vec<WorkId>> = BTreeMap::new();
            let stays =
                |letter: &WorkInfo| order == LetterOrder::Replay && told_process(&letter.work).is_some();
            let shown = page.work.into_iter().take_while(|letter| letter.work.place <= up_to);
            for letter in shown.filter(|letter| !stays(letter)) {
                of_tenants.entry(letter.work.tenant).or_default().push(letter.work.id);
            }
            for (tenant, ids) in of_tenants {
                settled += self.settle_letters(order, &tenant, &ids, by).await?;
            }
            let Some(next) = next else { return Ok(settled) };
            after = next;
        }
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
