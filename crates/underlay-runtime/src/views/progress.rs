//! A view's way along the log: pages are read and folded, and rows are stored with the checkpoint they
//! lead to.
//!
//! While there is more to read, folded rows are held for a moment, so that one that changes in many
//! pages is stored once. They are bounded, and are not answered from: rows and checkpoint are stored
//! together, and a crash at any point leaves both as they were before that, or after it. Events that the
//! view passes over are remembered in that same step.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::watch;
use underlay_core::limits::{PAGE_EVENTS_MAX, PARKED_EVENTS_MAX};
use underlay_core::{
    Checkpoint, Error, EventId, EventStoreExt, Generation, LeaseTerm, LogFilter, LogPage, OnFault,
    ParkedEvent, Position, RecordedEvent, SkippedEvent, Timestamp, ViewBatch, ViewTable,
};

use super::Views;
use super::fold::{Faults, ViewFault, ViewFolder};
use super::held_rows::HeldRows;
use crate::subscription::{Advance, Halt, has_passed};
use crate::traces::OpenSpan;

/// Positions a view may be ahead of what it has stored.
const UNSTORED_POSITIONS_MAX: u64 = 250_000;
/// Rows a view that is catching up may hold before it stores them.
const HELD_ROWS_MAX: usize = 16_384;
/// Bytes such rows may hold.
const HELD_BYTES_MAX: usize = 16 << 20;
/// How long such rows may be held.
const HELD_TIME_MAX: Duration = Duration::from_millis(250);
/// How long they may be held by a rebuild, whose rows nobody reads yet.
const HELD_BESIDE_TIME_MAX: Duration = Duration::from_secs(2);
/// How long a view under a lease may be ahead of its checkpoint at the head of the log, where no row
/// changed: other processes know by the checkpoint how far it is.
pub(crate) const UNSHOWN_TIME_MAX: Duration = Duration::from_millis(100);
/// How far apart a runner stores at the head of the log while nobody waits for the view. Commits that come closer
/// together are stored as one: the rows they share once, and the log's writer has its turns.
pub(crate) const STORES_APART_MIN: Duration = Duration::from_millis(10);
/// Batches up to this size are worked on in place; larger ones on a thread for blocking work.
const INLINE_EVENTS_MAX: usize = 64;

/// A table on its way along the log.
pub(crate) struct Progress {
    pub(crate) table: ViewTable,
    /// What its rows are stored under; none where nobody shares the work.
    pub(crate) lease: Option<LeaseTerm>,
    filter: LogFilter,
    /// As it is stored with the rows.
    stored: Checkpoint,
    /// As far as the log was looked at; at or beyond `stored`.
    pub(crate) scanned: Checkpoint,
    /// Since when it is beyond.
    ahead_since: Option<Timestamp>,
    /// The last page looked at fewer positions than a page may: the head of the log was near.
    is_close: bool,
    /// What was folded between the two.
    held: HeldRows,
    held_time_max: Duration,
    /// What was passed over beyond `stored`.
    passed: HashSet<Position>,
    /// As much of it as is kept.
    parked: Vec<ParkedEvent>,
    /// How many such events are kept, those that are stored and these.
    parked_count: u64,
    /// What a person has skipped: such an event is passed over where it cannot be taken.
    skipped: HashSet<(Position, EventId)>,
    /// The rows that are stored reflect every event at or below it; between the two as well.
    pub(crate) reflected: Position,
    /// Where it ends for now; none at the head of the log. It is the end of a page of another one who follows the
    /// same log.
    pub(crate) until: Option<Checkpoint>,
    ahead: Option<LogPage>,
    /// Whether its folds are told of as spans.
    is_traced: bool,
    /// How many wait for it; none where it is stored as soon as the head is reached.
    waiting: Option<watch::Receiver<usize>>,
    /// When it was last stored.
    stored_at: Option<Timestamp>,
}

/// Where a generation is stored to be.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) table: ViewTable,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) lease: Option<LeaseTerm>,
}

/// Why a view does not come on.
pub(crate) type ViewHalt = Halt<ViewFault>;

impl From<ViewFault> for ViewHalt {
    fn from(fault: ViewFault) -> Self {
        Self::Stuck(fault)
    }
}

impl Views {
    /// Finds or makes a view's table, and checks its checkpoint against the log.
    pub(crate) async fn open(&self, folder: &dyn ViewFolder) -> Result<Progress, Error> {
        let schema = folder.schema();
        let start = Checkpoint::start(self.store.store_id());
        let table = self.rows(&schema.name).prepare(&schema, start).await?;
        let stored = self.rows(&schema.name).checkpoint(&table).await?;
        self.check_checkpoint(&schema.name, &stored).await?;
        self.check_unaltered(&table).await?;
        let active = self.info(&schema.name).await?.map(|info| info.active);
        active.iter().try_for_each(|active| check_complete(folder, active))?;
        let parked = active.map_or(0, |active| active.parked);
        self.tables().insert(schema.rows.name, table.clone());
        self.progress_of(folder, table, stored, parked).await
    }

    /// A table at its stored checkpoint, which has passed over so many events, with what it passes over.
    pub(crate) async fn progress_of(
        &self,
        folder: &dyn ViewFolder,
        table: ViewTable,
        stored: Checkpoint,
        parked: u64,
    ) -> Result<Progress, Error> {
        let skipped = self.rows(&table.schema.name).skipped(&table.schema.name).await?;
        let mut progress = Progress::new(folder, table, stored, parked).skipping(&skipped);
        // A store without transactions may have kept what a batch passed over, and not all of its rows: the rows
        // that it has reflect the batch without those events, and so must the others.
        let mut after = (parked > 0).then_some(stored.position);
        while let Some(from) = after {
            let page =
                self.rows(&progress.table.schema.name).parked(&progress.table, from, PAGE_EVENTS_MAX).await?;
            progress.passed.extend(page.iter().map(|parked| parked.position));
            after = page.last().map(|last| last.position);
        }
        Ok(progress)
    }

    /// Refuses a checkpoint that does not fit the log.
    pub(crate) async fn check_checkpoint(&self, view: &str, checkpoint: &Checkpoint) -> Result<(), Error> {
        let repair = format!("{} view rebuild {view}", self.config.program);
        self.store.check_checkpoint(&format!("view {view}"), checkpoint, &repair).await
    }

    /// Refuses a table that was altered by hand, with what differs and what mends it.
    pub(crate) async fn check_unaltered(&self, table: &ViewTable) -> Result<(), Error> {
        let view = &table.schema.name;
        let alterations = self.rows(view).alterations(table).await?;
        if alterations.is_empty() {
            return Ok(());
        }
        Err(Error::Damaged(format!(
            "the table of view {view} was altered by hand: {}; undo that, or run `{} view rebuild {view}`",
            alterations.join(", "),
            self.config.program
        )))
    }

    /// Reads the next page and folds it; the page after it is read meanwhile. Rows and checkpoint are
    /// stored where this is the head of the log, or where as much is held as may be.
    pub(crate) async fn step(
        &self,
        folder: &dyn ViewFolder,
        progress: &mut Progress,
    ) -> Result<Advance, ViewHalt> {
        let step = self.fold_page(folder, progress).await?;
        self.store_where_due(progress, step != Advance::Advanced).await?;
        Ok(step)
    }

    /// Stores what was folded, where that is due.
    pub(crate) async fn store_where_due(&self, progress: &mut Progress, at_head: bool) -> Result<(), Error> {
        if progress.is_due(at_head, self.clock.now()) {
            self.store_progress(progress).await?;
        }
        Ok(())
    }

    /// As [`Views::step`], and leaves it to the caller to store what was folded.
    pub(crate) async fn fold_page(
        &self,
        folder: &dyn ViewFolder,
        progress: &mut Progress,
    ) -> Result<Advance, ViewHalt> {
        let mut page = match progress.ahead.take() {
            Some(page) => page,
            None => match self.read_page(progress).await {
                Ok(page) => page,
                Err(error) => {
                    // Whoever tries again goes on from there.
                    self.store_progress(progress).await?;
                    return Err(error.into());
                }
            },
        };
        if page.scanned_to == progress.scanned.position {
            return Ok(Advance::FoundNothing);
        }
        let begun = self.clock.now();
        let (to, ahead, count) = loop {
            let count = page.events.len();
            let to =
                Checkpoint { position: page.scanned_to, event_id: page.scanned_to_id, ..progress.scanned };
            let next = async {
                // Only where there is more: at the head it would read nothing.
                if page.at_head {
                    return Ok(None);
                }
                self.read_page_until(&progress.filter, &to, progress.until).await.map(Some)
            };
            let events = progress.without_parked(page.events);
            let folds = if progress.is_traced {
                self.tracer.folds(&progress.table.schema.name, &events)
            } else {
                Vec::new()
            };
            let fold = self.fold_events(folder, &progress.table, &mut progress.held, events);
            // The read first: a fold holds the thread, and what comes after it would begin only then.
            let (ahead, folded) = tokio::join!(next, fold);
            folds.into_iter().for_each(if folded.is_ok() { OpenSpan::end } else { OpenSpan::discard });
            match folded {
                Ok(()) => break (to, ahead, count),
                Err(FoldError::Failed(error)) => return Err(error.into()),
                Err(FoldError::Faults(faults)) => {
                    if let Err(fault) = progress.park(folder, &faults) {
                        return Err(self.store_before(folder, progress, fault).await);
                    }
                    page = self.read_page(progress).await?;
                }
            }
        };
        let now = self.clock.now();
        self.metrics.folded(&progress.table.schema.name, count, [begun, now]);
        let looked_at = to.position.number() - progress.scanned.position.number();
        progress.is_close = looked_at < self.config.view_batch_events_max as u64;
        progress.scanned = to;
        progress.ahead_since.get_or_insert(now);
        if progress.held.is_empty() && progress.passed.is_empty() {
            progress.reflected = progress.scanned.position;
        }
        match ahead {
            Ok(ahead) => progress.ahead = ahead,
            // It is read once more by the next step, and what was folded is kept.
            Err(error) => {
                tracing::debug!(view = progress.table.schema.name, %error, "reading ahead");
                return Ok(Advance::Advanced);
            }
        }
        Ok(if progress.ahead.is_some() { Advance::Advanced } else { Advance::ReachedHead })
    }

    /// Stores the rows that are held, and the checkpoint they lead to.
    pub(crate) async fn store_progress(&self, progress: &mut Progress) -> Result<(), Error> {
        let Some(batch) = progress.take_batch() else { return Ok(()) };
        self.rows(&progress.table.schema.name).apply(&progress.table, batch).await?;
        progress.mark_stored(self.clock.now());
        Ok(())
    }

    async fn read_page(&self, progress: &Progress) -> Result<LogPage, Error> {
        self.read_page_until(&progress.filter, &progress.scanned, progress.until).await
    }

    async fn read_page_until(
        &self,
        filter: &LogFilter,
        after: &Checkpoint,
        until: Option<Checkpoint>,
    ) -> Result<LogPage, Error> {
        let limit = self.config.view_batch_events_max;
        let mut page = self.recent_log.read(after, filter, limit).await?;
        if let Some(until) = until.filter(|until| page.scanned_to >= until.position) {
            page.events.retain(|event| event.position <= until.position);
            (page.scanned_to, page.scanned_to_id, page.at_head) = (until.position, until.event_id, true);
        }
        Ok(page)
    }

    /// Folds events into the rows that are held; all of them, or where one cannot be taken, none.
    async fn fold_events(
        &self,
        folder: &dyn ViewFolder,
        table: &ViewTable,
        held: &mut HeldRows,
        events: Vec<RecordedEvent>,
    ) -> Result<(), FoldError> {
        if events.is_empty() {
            return Ok(());
        }
        let heavy = events.len() > INLINE_EVENTS_MAX;
        let (routed, places, missing) = off_the_loop(heavy, || {
            let routed = folder.route(events)?;
            let (places, missing) = held.find(routed.addresses());
            Ok::<_, Faults>((routed, places, missing))
        })?;
        if !missing.is_empty() {
            let stored = self.rows(&table.schema.name).load(table, &missing).await?;
            held.hold(missing, stored, self.clock.now());
        }
        Ok(off_the_loop(heavy, || match routed.fold(held.rows(&places)) {
            Some(rows) => {
                held.replace(&places, rows);
                Ok(())
            }
            None => Err(routed.faults(held.rows(&places))),
        })?)
    }

    /// Stores what comes before the first event the view cannot take, and says which that is. `fault` is
    /// the first of its page; what is folded up to there may show an earlier one.
    async fn store_before(
        &self,
        folder: &dyn ViewFolder,
        progress: &mut Progress,
        mut fault: ViewFault,
    ) -> ViewHalt {
        loop {
            match self.store_up_to(folder, progress, &fault).await {
                Ok(()) => return fault.into(),
                Err(ViewHalt::Stuck(earlier)) => fault = earlier,
                Err(failed) => return failed,
            }
        }
    }

    /// Stores what comes before the commit that holds an event the view cannot take.
    async fn store_up_to(
        &self,
        folder: &dyn ViewFolder,
        progress: &mut Progress,
        fault: &ViewFault,
    ) -> Result<(), ViewHalt> {
        let page = self.read_page(progress).await?;
        let before: Vec<RecordedEvent> =
            page.events.into_iter().take_while(|event| event.commit_end() < fault.commit_end).collect();
        let last = before.last().map(RecordedEvent::commit_end);
        // What comes after is passed over by whoever gets so far.
        progress.parked.retain(|parked| last.is_some_and(|last| parked.position <= last));
        progress.passed.retain(|passed| last.is_some_and(|last| *passed <= last));
        if let Some(last) = last {
            let event_id = self.store.event_id_at(last).await?;
            let before = progress.without_parked(before);
            match self.fold_events(folder, &progress.table, &mut progress.held, before).await {
                Ok(()) => {}
                Err(FoldError::Failed(error)) => return Err(error.into()),
                Err(FoldError::Faults(faults)) => return Err(faults.first().into()),
            }
            progress.scanned = Checkpoint { position: last, event_id, ..progress.scanned };
        }
        Ok(self.store_progress(progress).await?)
    }
}

/// Refuses rows that lack events, where the view stops at such events rather than pass over them.
pub(crate) fn check_complete(folder: &dyn ViewFolder, generation: &Generation) -> Result<(), Error> {
    // What a person has skipped is meant to be lacking.
    let parked = generation.parked.saturating_sub(generation.skipped);
    if parked == 0 || folder.on_fault() == OnFault::Park {
        return Ok(());
    }
    let reason =
        format!("its rows lack {parked} events that were passed over, and the code passes over none");
    Err(Error::ViewChanged { view: folder.schema().rows.name, reason })
}

/// Why a batch was not folded.
#[derive(Debug, thiserror::Error)]
enum FoldError {
    #[error("some events cannot be taken")]
    Faults(Faults),
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<Faults> for FoldError {
    fn from(faults: Faults) -> Self {
        Self::Faults(faults)
    }
}

impl Progress {
    /// A table at its stored checkpoint, which has passed over so many events.
    pub(crate) fn new(folder: &dyn ViewFolder, table: ViewTable, stored: Checkpoint, parked: u64) -> Self {
        Self {
            table,
            lease: None,
            filter: folder.filter(),
            stored,
            scanned: stored,
            ahead_since: None,
            is_close: false,
            held: HeldRows::default(),
            held_time_max: HELD_TIME_MAX,
            passed: HashSet::new(),
            parked: Vec::new(),
            parked_count: parked,
            skipped: HashSet::new(),
            reflected: stored.position,
            until: None,
            ahead: None,
            is_traced: false,
            waiting: None,
            stored_at: None,
        }
    }

    /// Passes over these events too, where it cannot take them.
    pub(crate) fn skipping(mut self, skipped: &[SkippedEvent]) -> Self {
        self.skipped =
            skipped.iter().map(|skipped| (skipped.event.position, skipped.event.event_id)).collect();
        self
    }

    /// Tells of its folds as spans: those of the rows that are read.
    pub(crate) fn traced(mut self) -> Self {
        self.is_traced = true;
        self
    }

    /// Stores at the head of the log no more often than [`STORES_APART_MIN`], unless somebody waits for it.
    pub(crate) fn spaced(mut self, waiting: watch::Receiver<usize>) -> Self {
        self.waiting = Some(waiting);
        self
    }

    /// Holds rows for longer: those of a rebuild, which nobody reads before it is done.
    pub(crate) fn beside(mut self) -> Self {
        self.held_time_max = HELD_BESIDE_TIME_MAX;
        self
    }

    /// The generation, where it is stored to be, and the lease it is stored under.
    pub(crate) fn place(&self) -> Place {
        Place { table: self.table.clone(), checkpoint: self.stored, lease: self.lease.clone() }
    }

    /// Passes over the events of these faults, where the view does that or a person has ordered it; otherwise
    /// the fault it stops at.
    fn park(&mut self, folder: &dyn ViewFolder, faults: &Faults) -> Result<(), ViewFault> {
        for fault in faults.iter() {
            let is_skipped = self.skipped.contains(&(fault.position(), fault.event.event_id));
            if !fault.is_of_event || folder.on_fault() == OnFault::Pause && !is_skipped {
                return Err(fault.clone());
            }
            tracing::warn!(view = self.table.schema.name, %fault, "the view passes over an event");
            self.passed.insert(fault.position());
            // One tenant must not stop the view for all by writing more of them. A rebuild folds every one.
            if self.parked_count < PARKED_EVENTS_MAX {
                self.parked.push((*fault.event).clone());
                self.parked_count += 1;
            }
        }
        Ok(())
    }

    /// The events of a page but for those that are passed over.
    fn without_parked(&self, mut events: Vec<RecordedEvent>) -> Vec<RecordedEvent> {
        if !self.passed.is_empty() {
            events.retain(|event| !self.passed.contains(&event.position));
        }
        events
    }

    /// Takes what is to be stored; none where nothing is.
    pub(crate) fn take_batch(&mut self) -> Option<ViewBatch> {
        let changes = self.held.take_changes();
        let parked = std::mem::take(&mut self.parked);
        self.passed.retain(|passed| *passed > self.scanned.position);
        if changes.is_empty() && parked.is_empty() && self.stored == self.scanned {
            return None;
        }
        let batch = ViewBatch::new(self.stored, self.scanned, changes);
        Some(batch.with_parked(parked).with_lease(self.lease.clone()))
    }

    /// What was taken is stored now.
    pub(crate) fn mark_stored(&mut self, now: Timestamp) {
        self.stored = self.scanned;
        self.stored_at = Some(now);
        self.ahead_since = None;
        self.reflected = self.scanned.position;
    }

    /// Whether other processes do not know yet how far it is.
    pub(crate) fn is_unshown(&self) -> bool {
        self.lease.is_some() && self.ahead_since.is_some()
    }

    /// Whether rows were folded and not stored.
    pub(crate) fn holds_rows(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether the next store can wait, since one was just before and nobody waits for it.
    fn is_stored_lately(&self, now: Timestamp) -> bool {
        // A clock that was set back must not put it off for as long.
        let lately = |stored| now >= stored && !has_passed(STORES_APART_MIN, stored, now);
        self.stored_at.is_some_and(lately)
    }

    /// How many wait for it; none where nobody may put off what they wait for.
    fn waiting(&self) -> Option<usize> {
        self.waiting.as_ref().map(|waiting| *waiting.borrow())
    }

    /// Whether rows and checkpoint are to be stored now. At the head of the log somebody may wait for
    /// them; while there is more to read, and while commits come close together, a row that changes in many pages
    /// is stored once. Where commits come faster than they are read there is always more: who waits is close to the head
    /// then, and not at it.
    fn is_due(&self, at_head: bool, now: Timestamp) -> bool {
        let ahead = self.scanned.position.number() - self.stored.position.number();
        let held = &self.held;
        let (lately, waiting) = (self.is_stored_lately(now), self.waiting());
        let at_rest = if at_head {
            waiting != Some(0) || !lately
        } else {
            self.is_close && !lately && waiting.is_some_and(|waiting| waiting > 0)
        };
        let unshown = self.ahead_since.filter(|_| at_head && self.lease.is_some());
        ahead >= UNSTORED_POSITIONS_MAX
            || !self.passed.is_empty()
            || unshown.is_some_and(|since| has_passed(UNSHOWN_TIME_MAX, since, now))
            || held.len() >= HELD_ROWS_MAX
            || held.bytes() >= HELD_BYTES_MAX
            || held.since().is_some_and(|since| at_rest || has_passed(self.held_time_max, since, now))
    }
}

/// Runs work that holds the processor; heavy work where the runtime's other tasks can move aside.
fn off_the_loop<T>(heavy: bool, work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    let many_threads =
        Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if heavy && many_threads { tokio::task::block_in_place(work) } else { work() }
}

#[cfg(test)]
mod tests {
    use underlay_core::{Column, ColumnType, RowAddress, StoreId, TenantId, Value, ViewSchema};
    use uuid::Uuid;

    use super::*;

    fn progress() -> Progress {
        let column = Column {
            name: "note".to_owned(),
            column_type: ColumnType::Text,
            nullable: false,
            indexed: false,
        };
        let schema = ViewSchema::new("notes", 1, vec![column]);
        let start = Checkpoint::start(StoreId(Uuid::nil()));
        Progress {
            table: ViewTable { schema, generation: 1 },
            lease: None,
            filter: LogFilter::default(),
            stored: start,
            scanned: Checkpoint { position: Position::from_number(10), ..start },
            ahead_since: Some(Timestamp::UNIX_EPOCH),
            is_close: false,
            held: HeldRows::default(),
            held_time_max: HELD_TIME_MAX,
            passed: HashSet::new(),
            parked: Vec::new(),
            parked_count: 0,
            skipped: HashSet::new(),
            reflected: Position::START,
            until: None,
            ahead: None,
            is_traced: false,
            waiting: None,
            stored_at: None,
        }
    }

    fn hold(progress: &mut Progress, rows: usize, note: &str) {
        let tenant = TenantId::new("acme").unwrap();
        let address = |key: usize| RowAddress { tenant: tenant.clone(), key: key.to_string() };
        let values = vec![Some(vec![Value::Text(note.to_owned())]); rows];
        let values = values.into_iter().map(underlay_core::LoadedRow::from).collect();
        progress.held.hold((0..rows).map(address).collect(), values, Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn rows_are_stored_at_the_head_and_at_every_limit() {
        let now = Timestamp::UNIX_EPOCH;
        let mut one = progress();
        assert!(!one.is_due(true, now), "nothing is held");
        hold(&mut one, 1, "");
        assert!(one.is_due(true, now) && !one.is_due(false, now));
        assert!(one.is_due(false, Timestamp::from_millisecond(250).unwrap()));
        assert!(!one.is_due(false, Timestamp::from_millisecond(-250).unwrap()), "a clock that was set back");

        let mut beside = progress().beside();
        hold(&mut beside, 1, "");
        assert!(!beside.is_due(false, Timestamp::from_millisecond(1_999).unwrap()));
        assert!(
            beside.is_due(false, Timestamp::from_millisecond(2_000).unwrap()) && beside.is_due(true, now)
        );

        let mut many = progress();
        hold(&mut many, HELD_ROWS_MAX, "");
        assert!(many.is_due(false, now));
        let mut large = progress();
        hold(&mut large, 1, &"x".repeat(HELD_BYTES_MAX));
        assert!(large.is_due(false, now));
        let mut far = progress();
        far.scanned.position = Position::from_number(UNSTORED_POSITIONS_MAX);
        assert!(far.is_due(false, now));
    }

    #[test]
    fn under_a_lease_a_checkpoint_is_soon_stored_where_no_row_changed() {
        let mut alone = progress();
        let later = Timestamp::from_millisecond(100).unwrap();
        assert!(!alone.is_due(true, later) && !alone.is_unshown(), "nobody else looks at it");
        let id = underlay_core::LeaseId::draw();
        alone.lease = Some(LeaseTerm { name: "view notes".to_owned(), term: 1, id });
        assert!(!alone.is_due(true, Timestamp::UNIX_EPOCH), "hints that come close together are one");
        assert!(alone.is_due(true, later) && alone.is_unshown());
        assert!(!alone.is_due(false, later), "while there is more to read nobody waits for this");
    }

    #[test]
    fn commits_close_together_are_stored_as_one_unless_somebody_waits() {
        let at = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap();
        let (waiting, who_waits) = watch::channel(0);
        let mut busy = progress().spaced(who_waits);
        hold(&mut busy, 1, "");
        assert!(busy.is_due(true, at(0)), "the first is stored at once");
        busy.mark_stored(at(0));
        busy.held = HeldRows::default();
        hold(&mut busy, 1, "");
        assert!(!busy.is_due(true, at(9)) && busy.is_due(true, at(10)));
        assert!(busy.is_due(true, at(-1)), "a clock that was set back puts nothing off");
        busy.is_close = true;
        assert!(!busy.is_due(false, at(10)), "nobody waits");
        waiting.send_replace(1);
        assert!(busy.is_due(true, at(9)), "somebody waits");
        assert!(!busy.is_due(false, at(9)) && busy.is_due(false, at(10)), "and more is there to be read");
        busy.is_close = false;
        assert!(!busy.is_due(false, at(10)), "the head is far away");
    }
}
