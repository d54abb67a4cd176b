use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use underlay_core::{
    Category, Checkpoint, Clock, Column, ColumnType, Commit, CommitId, Committed, Comparison as Compare,
    Direction, Error, EventId, EventType, ExpectedVersion, Fingerprint, Json, LogFilter, LogScope, NewEvent,
    Outcome, Position, Query, RowAddress, RowChange, SchemaVersion, Snapshot, StoreId, StreamName, TenantId,
    Timestamp, Value, Version, ViewBatch, ViewSchema, ViewTable,
};
use uuid::Uuid;

use super::answers::{Answer, Applied, Model};
use super::operation::{Again, Change, Draft, Expected, Filter, From, Operation, RowDraft, Touch};
use super::subject::{SetClock, Subject};

type Verdict = Result<(), TestCaseError>;

const TENANTS: [&str; 2] = ["acme", "globex"];
const STREAMS: [&str; 3] = ["account-1", "account-2", "entry-1"];
/// One that is there, another, and one no stream has.
const CATEGORIES: [&str; 3] = ["account", "entry", "nothing"];
const EVENT_TYPES: [&str; 3] = ["noted", "settled", "never"];

/// A store and the model, side by side.
pub(super) struct Comparison<S> {
    subject: S,
    model: Model,
    clock: Arc<SetClock>,
    table: ViewTable,
    /// Every commit that was tried, stored or not.
    tried: Vec<(TenantId, Commit)>,
    drawn: u128,
}

impl<S: Subject> Comparison<S> {
    pub(super) async fn begin() -> Self {
        let clock = SetClock::new();
        let subject = S::create(clock.clone()).await.expect("it was there for the first case");
        let start = Checkpoint::start(subject.events().store_id());
        let table = subject.rows().prepare(&totals(), start).await.unwrap();
        Self {
            subject,
            model: Model::new(start, S::EVERY_COMMIT_IN_TIME),
            clock,
            table,
            tried: Vec::new(),
            drawn: 0,
        }
    }

    /// Runs an operation on both.
    pub(super) async fn step(&mut self, operation: &Operation) -> Verdict {
        match operation {
            Operation::Commit(draft, fault) => {
                let commit = self.commit_of(draft);
                self.commit(tenant(draft.tenant), commit, *fault).await
            }
            Operation::Again(of, again, fault) => match self.again(*of, *again) {
                Some((tenant, commit)) => self.commit(tenant, commit, *fault).await,
                None => Ok(()),
            },
            Operation::ReadStream { tenant: owner, stream: name, after, limit } => {
                self.read_stream(&tenant(*owner), &stream(*name), Version(*after), *limit).await
            }
            Operation::ReadLog { scope, after, filter, limit } => {
                let scope = scope.map_or(LogScope::EveryTenant, |owner| LogScope::Tenant(tenant(owner)));
                self.read_log(&scope, Position::from_number(*after), &log_filter(filter), *limit).await
            }
            Operation::Versions { tenant: owner, streams } => {
                let (owner, streams) = (tenant(*owner), streams.iter().map(|name| stream(*name)));
                self.versions(&owner, &streams.collect::<Vec<_>>()).await
            }
            Operation::FindCommit { tenant: owner, of } => {
                let id = match of {
                    Some(of) if !self.tried.is_empty() => of.get(&self.tried).1.id,
                    _ => CommitId(self.draw()),
                };
                self.find_commit(&tenant(*owner), id).await
            }
            Operation::PositionAt { of, more } => {
                let times: Vec<Timestamp> = self.model.events.iter().map(|event| event.recorded_at).collect();
                let time = if times.is_empty() { self.clock.now() } else { *of.get(&times) };
                self.position_at(Timestamp::from_microsecond(time.as_microsecond() + more).unwrap()).await
            }
            Operation::EventIdAt { position } => {
                let position = Position::from_number(*position);
                let found = self.subject.events().event_id_at(position).await.unwrap();
                prop_assert_eq!(found, self.model.event_id_at(position), "the event at {}", position);
                Ok(())
            }
            Operation::Apply { from, changes, fault } => {
                let batch = self.batch_of(*from, changes);
                self.apply(batch, *fault).await
            }
            Operation::Rows { tenant: owner, descending, at_least, limit } => {
                self.rows(&tenant(*owner), *descending, *at_least, *limit).await
            }
            Operation::StoreSnapshot { tenant: owner, stream: name, version, definition, fault } => {
                let snapshot = Snapshot {
                    version: Version(*version),
                    event_id: EventId(self.draw()),
                    fingerprint: Fingerprint([*definition; 16]),
                    state: Json::encode(&self.drawn.to_string()).unwrap(),
                };
                self.store_snapshot(&tenant(*owner), &stream(*name), snapshot, *fault).await
            }
            Operation::RemoveSnapshot { tenant: owner, stream: name } => {
                let (owner, name) = (tenant(*owner), stream(*name));
                self.subject.snapshots().remove_snapshot(&owner, &name).await.unwrap();
                self.model.snapshots.remove(&(owner.clone(), name.clone()));
                self.load_snapshot(&owner, &name).await
            }
            Operation::LoadSnapshot { tenant: owner, stream: name } => {
                self.load_snapshot(&tenant(*owner), &stream(*name)).await
            }
            Operation::MoveClock { microseconds } => {
                self.clock.move_by(*microseconds);
                Ok(())
            }
            Operation::Reopen(reopening) => {
                let id = self.subject.events().store_id();
                self.subject.reopen(*reopening).await;
                prop_assert_eq!(self.subject.events().store_id(), id, "the log keeps its identity");
                let table = self.subject.rows().prepare(&totals(), self.model.checkpoint).await.unwrap();
                prop_assert_eq!(&table, &self.table, "the view is still there");
                self.everything().await
            }
        }
    }

    /// Compares all there is.
    pub(super) async fn everything(&self) -> Verdict {
        let head = self.subject.events().head().await.unwrap();
        prop_assert_eq!(head, self.model.head(), "the head");
        self.read_log(&LogScope::EveryTenant, Position::START, &LogFilter::default(), 1_000).await?;
        for owner in (0..TENANTS.len()).map(tenant) {
            let scope = LogScope::Tenant(owner.clone());
            self.read_log(&scope, Position::START, &LogFilter::default(), 1_000).await?;
            self.versions(&owner, &[0, 1, 2].map(stream)).await?;
            for name in (0..STREAMS.len()).map(stream) {
                self.read_stream(&owner, &name, Version::NONE, 1_000).await?;
                self.load_snapshot(&owner, &name).await?;
            }
            for (_, commit) in &self.tried {
                self.find_commit(&owner, commit.id).await?;
            }
            self.rows(&owner, false, i64::MIN, 1_000).await?;
        }
        let checkpoint = self.subject.rows().checkpoint(&self.table).await.unwrap();
        prop_assert_eq!(checkpoint, self.model.checkpoint, "the checkpoint of the view");
        self.archive().await
    }

    async fn commit(&mut self, owner: TenantId, commit: Commit, fault: Option<Index>) -> Verdict {
        let before = self.model.find_commit(&owner, commit.id);
        let expected = self.model.commit(&owner, &commit, self.clock.now());
        self.tried.push((owner.clone(), commit.clone()));
        let armed = fault.is_some_and(|fault| self.subject.arm(fault.index(usize::MAX)));
        let answer = self.subject.events().commit(&owner, commit.clone()).await;
        self.subject.disarm().await;
        let answer = match answer {
            Err(Error::Unavailable { reason, .. }) => {
                prop_assert!(armed, "unavailable, and nothing was made to fail: {}", reason);
                let found = self.subject.events().find_commit(&owner, commit.id).await.unwrap();
                prop_assert_eq!(&found, &before, "unavailable means that nothing was stored");
                self.commit_when_mended(&owner, &commit).await
            }
            Err(Error::Uncertain { id, reason }) => {
                prop_assert!(armed, "uncertain, and nothing was made to fail: {}", reason);
                prop_assert_eq!(id, commit.id, "it says which commit is uncertain");
                let found = self.subject.events().find_commit(&owner, commit.id).await.unwrap();
                let again = self.commit_when_mended(&owner, &commit).await;
                if found.is_some() {
                    let repeated = matches!(&again, Ok(committed) if committed.repeated)
                        || matches!(&again, Err(Error::IdReused(_)));
                    prop_assert!(repeated, "it was stored, and the repeat says otherwise: {:?}", again);
                }
                // Whether the first call or the repeat stored it, the rest of the answer is the same.
                again.map(|mut committed| {
                    committed.repeated = before.is_some() || committed.id != commit.id;
                    committed
                })
            }
            other => other,
        };
        match answer {
            Ok(mut committed) => {
                // A store that lost the answer and looked it up does not know which call stored it.
                committed.repeated &= !armed || before.is_some() || committed.id != commit.id;
                prop_assert_eq!(Answer::Stored(committed), expected);
            }
            Err(Error::IdReused(id)) => prop_assert_eq!(Answer::IdReused(id), expected),
            Err(Error::Invalid(_)) => prop_assert_eq!(Answer::Invalid, expected),
            Err(Error::Conflict(conflict)) => {
                let fits = matches!(&expected, Answer::Conflict(true_ones) if true_ones.contains(&conflict));
                prop_assert!(fits, "{} is none of {:?}", conflict, expected);
            }
            Err(other) => prop_assert!(false, "{} instead of {:?}", other, expected),
        }
        self.find_commit(&owner, commit.id).await
    }

    /// Commits until the writer has its file back.
    async fn commit_when_mended(&self, owner: &TenantId, commit: &Commit) -> Result<Committed, Error> {
        loop {
            match self.subject.events().commit(owner, commit.clone()).await {
                Err(Error::Unavailable { .. }) => tokio::task::yield_now().await,
                answer => return answer,
            }
        }
    }

    /// Waits until the writer has its file back, by writes that change nothing.
    async fn mended(&self) -> Verdict {
        let (nobody, nothing) = (TenantId::new("nobody").unwrap(), StreamName::parse("nothing-1").unwrap());
        loop {
            match self.subject.snapshots().remove_snapshot(&nobody, &nothing).await {
                Ok(()) => return Ok(()),
                Err(Error::Unavailable { .. }) => tokio::task::yield_now().await,
                Err(other) => return Err(TestCaseError::fail(other.to_string())),
            }
        }
    }

    async fn read_stream(
        &self,
        owner: &TenantId,
        name: &StreamName,
        after: Version,
        limit: usize,
    ) -> Verdict {
        let page = self.subject.events().read_stream(owner, name, after, limit).await.unwrap();
        prop_assert_eq!(page, self.model.read_stream(owner, name, after, limit), "stream {}", name);
        Ok(())
    }

    async fn read_log(&self, scope: &LogScope, after: Position, filter: &LogFilter, limit: usize) -> Verdict {
        let page = self.subject.events().read_all(scope, after, filter, limit).await.unwrap();
        let head = self.model.head();
        let end = after.max(head);
        let all = self.model.log(scope, after, end, filter);
        // Up to the end of the commit that the last event asked for belongs to.
        let enough = all.get(limit - 1).map_or(end, |event| self.model.commit_end(event));
        let expected = self.model.log(scope, after, enough, filter);
        prop_assert_eq!(&page.events, &expected, "the log after {}", after);
        let scanned_to = page.scanned_to;
        prop_assert!(scanned_to >= after && scanned_to <= end, "scanned to {} of {}", scanned_to, head);
        let missed = self.model.log(scope, enough, scanned_to, filter);
        prop_assert!(missed.is_empty(), "scanned past {:?}", missed);
        prop_assert_eq!(page.at_head, scanned_to >= head, "whether {} is the head {}", scanned_to, head);
        prop_assert!(page.at_head || all.len() >= limit, "fewer events than asked for");
        let last = self.model.events.iter().find(|event| event.position == scanned_to);
        prop_assert!(last.is_none_or(|event| event.commit_tail == 0), "a commit is split at {}", scanned_to);
        let id = last.map(|event| event.event_id).filter(|_| *scope == LogScope::EveryTenant);
        prop_assert_eq!(page.scanned_to_id, id, "the event at {}", scanned_to);
        Ok(())
    }

    async fn versions(&self, owner: &TenantId, streams: &[StreamName]) -> Verdict {
        let versions = self.subject.events().versions(owner, streams).await.unwrap();
        let expected: Vec<Version> = streams.iter().map(|name| self.model.version(owner, name)).collect();
        prop_assert_eq!(versions, expected, "the versions of {:?}", streams);
        Ok(())
    }

    async fn find_commit(&self, owner: &TenantId, id: CommitId) -> Verdict {
        let found = self.subject.events().find_commit(owner, id).await.unwrap();
        prop_assert_eq!(found, self.model.find_commit(owner, id), "commit {} of {}", id, owner);
        Ok(())
    }

    async fn position_at(&self, time: Timestamp) -> Verdict {
        let found = self.subject.events().position_at(time).await.unwrap();
        prop_assert_eq!(found, self.model.position_at(time), "the position at {}", time);
        Ok(())
    }

    /// Every commit leaves the store as it was stored, in order.
    async fn archive(&self) -> Verdict {
        let (mut read, mut after) = (Vec::new(), 0);
        loop {
            let archive = self.subject.archive();
            let page = archive.read_commits(&LogScope::EveryTenant, after, 3).await.unwrap();
            read.extend(page.commits);
            if page.at_end {
                break;
            }
            after = page.next;
        }
        prop_assert_eq!(read.len(), self.model.entries.len(), "the number of commits");
        for (archived, entry) in read.iter().zip(&self.model.entries) {
            prop_assert_eq!(&archived.tenant, &entry.tenant);
            prop_assert_eq!(archived.id, entry.committed.id);
            prop_assert_eq!(archived.fingerprint, entry.fingerprint);
            prop_assert_eq!(&archived.outcome, &entry.committed.outcome);
            prop_assert_eq!(archived.recorded_at, entry.committed.recorded_at);
            prop_assert_eq!(&archived.events, &self.model.events_of(entry));
        }
        Ok(())
    }

    async fn apply(&mut self, batch: ViewBatch, fault: Option<Index>) -> Verdict {
        let expected = self.model.judge(&batch);
        let armed = fault.is_some_and(|fault| self.subject.arm(fault.index(usize::MAX)));
        let mut answer = self.subject.rows().apply(&self.table, batch.clone()).await;
        self.subject.disarm().await;
        while let Err(Error::Unavailable { reason, .. }) = &answer {
            prop_assert!(armed, "unavailable, and nothing was made to fail: {}", reason);
            // The checkpoint tells whether it was stored, and the rows are the checkpoint's.
            let checkpoint = self.subject.rows().checkpoint(&self.table).await.unwrap();
            self.mended().await?;
            if checkpoint == batch.to && expected == Applied::Stored {
                answer = Ok(());
                break;
            }
            prop_assert_eq!(checkpoint, self.model.checkpoint, "the view stays where it is");
            answer = self.subject.rows().apply(&self.table, batch.clone()).await;
        }
        let applied = match answer {
            Ok(()) => Applied::Stored,
            Err(Error::CheckpointMoved { .. }) => Applied::Moved,
            Err(Error::NotFound(_)) => Applied::NoRow,
            Err(other) => return Err(TestCaseError::fail(format!("{other} instead of {expected:?}"))),
        };
        prop_assert_eq!(applied, expected, "a batch from {:?}", batch.from);
        if applied == Applied::Stored {
            self.model.apply(&batch);
        }
        let checkpoint = self.subject.rows().checkpoint(&self.table).await.unwrap();
        prop_assert_eq!(checkpoint, self.model.checkpoint, "the checkpoint of the view");
        for owner in (0..TENANTS.len()).map(tenant) {
            self.rows(&owner, false, i64::MIN, 1_000).await?;
        }
        Ok(())
    }

    /// Reads a tenant's rows page by page, one by one, and counts them.
    async fn rows(&self, owner: &TenantId, descending: bool, at_least: i64, limit: usize) -> Verdict {
        let direction = if descending { Direction::Descending } else { Direction::Ascending };
        let mut query = Query::default()
            .filter("amount", Compare::Ge, Value::Integer(at_least))
            .sort("amount", direction)
            .limit(limit);
        let mut expected = self.model.rows_from(owner, at_least);
        if descending {
            expected.reverse();
        }
        let models = self.subject.rows();
        let count = models.count(&self.table, owner, &query).await.unwrap();
        prop_assert_eq!(count, expected.len() as u64, "the number of rows");
        for (key, row) in &expected {
            let found = models.get(&self.table, owner, key).await.unwrap();
            prop_assert_eq!(found.as_ref(), Some(row), "row {}", key);
        }
        let mut read = Vec::new();
        loop {
            let page = models.query(&self.table, owner, &query).await.unwrap();
            prop_assert_eq!(page.position, self.model.checkpoint.position, "the position of the rows");
            prop_assert!(page.rows.len() <= limit, "more rows than asked for");
            read.extend(page.rows);
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        prop_assert_eq!(read, expected, "the rows of {}", owner);
        Ok(())
    }

    async fn store_snapshot(
        &mut self,
        owner: &TenantId,
        name: &StreamName,
        snapshot: Snapshot,
        fault: Option<Index>,
    ) -> Verdict {
        let armed = fault.is_some_and(|fault| self.subject.arm(fault.index(usize::MAX)));
        // Storing it twice is storing it once, so it is tried until it is answered.
        loop {
            let stored = self.subject.snapshots().store_snapshot(owner, name, snapshot.clone()).await;
            self.subject.disarm().await;
            match stored {
                Ok(()) => break,
                Err(Error::Unavailable { .. }) if armed => tokio::task::yield_now().await,
                Err(other) => return Err(TestCaseError::fail(other.to_string())),
            }
        }
        self.model.store_snapshot(owner, name, snapshot);
        self.load_snapshot(owner, name).await
    }

    async fn load_snapshot(&self, owner: &TenantId, name: &StreamName) -> Verdict {
        let found = self.subject.snapshots().load_snapshot(owner, name).await.unwrap();
        let expected = self.model.snapshots.get(&(owner.clone(), name.clone()));
        prop_assert_eq!(found.as_ref(), expected, "the snapshot of {}", name);
        Ok(())
    }

    fn commit_of(&mut self, draft: &Draft) -> Commit {
        let owner = tenant(draft.tenant);
        let mut commit = Commit::new(CommitId(self.draw()));
        let mut touches: Vec<(usize, &Touch)> = draft.touches.iter().enumerate().collect();
        if draft.backwards {
            touches.reverse();
        }
        for (at, touch) in touches {
            let name = stream(at);
            let expected = |expected: &Expected| match expected {
                Expected::Any => ExpectedVersion::Any,
                Expected::NoStream => ExpectedVersion::NoStream,
                Expected::Exists => ExpectedVersion::Exists,
                Expected::Actual(more) => {
                    ExpectedVersion::Exact(Version(self.model.version(&owner, &name).0 + more))
                }
            };
            match touch {
                Touch::Nothing => {}
                Touch::Write(version, count) if !draft.refused => {
                    let version = expected(version);
                    let events = (0..*count).map(|_| self.new_event()).collect();
                    commit = commit.append(name, version, events);
                }
                Touch::Read(version) | Touch::Write(version, _) => {
                    let version = expected(version);
                    commit = commit.expect(name, version);
                }
            }
        }
        if draft.refused {
            let body = Json::encode(&self.drawn.to_string()).unwrap();
            let (code, message) = ("too_low".to_owned(), "It is too low.".to_owned());
            commit = commit.with_outcome(Outcome::Refused { code, message, body });
        }
        let known: Vec<EventId> = self
            .tried
            .iter()
            .flat_map(|(_, commit)| &commit.writes)
            .flat_map(|write| &write.events)
            .map(|event| event.event_id)
            .collect();
        let first = commit.writes.first_mut().and_then(|write| write.events.first_mut());
        if let (Some(at), Some(event), false) = (draft.known_event, first, known.is_empty()) {
            event.event_id = *at.get(&known);
        }
        commit
    }

    fn again(&mut self, of: Index, again: Again) -> Option<(TenantId, Commit)> {
        if self.tried.is_empty() {
            return None;
        }
        let (mut owner, mut commit) = of.get(&self.tried).clone();
        match again {
            Again::Same => {}
            Again::OtherEventIds => self.draw_event_ids(&mut commit),
            Again::OtherContent => commit = self.with_other_content(commit),
            Again::Naming { same_content, yields } => {
                let named = commit.id;
                commit.id = CommitId(self.draw());
                self.draw_event_ids(&mut commit);
                if !same_content {
                    commit = self.with_other_content(commit);
                }
                commit = if yields { commit.yields_to(named) } else { commit.agrees_with(named) };
            }
            Again::OtherOutcome => {
                let (code, message) = ("other".to_owned(), "Something else.".to_owned());
                commit.writes.clear();
                commit.outcome = Outcome::Refused { code, message, body: Json::encode("other").unwrap() };
            }
            Again::OtherTenant => {
                let other = TENANTS.iter().find(|name| **name != owner.as_str()).unwrap();
                owner = TenantId::new(other).unwrap();
            }
        }
        Some((owner, commit))
    }

    fn draw_event_ids(&mut self, commit: &mut Commit) {
        for event in commit.writes.iter_mut().flat_map(|write| &mut write.events) {
            event.event_id = EventId(self.draw());
        }
    }

    fn with_other_content(&mut self, mut commit: Commit) -> Commit {
        match (&mut commit.outcome, commit.writes.first_mut()) {
            (Outcome::Refused { body, .. }, _) => *body = Json::encode("other").unwrap(),
            (Outcome::Accepted, Some(write)) => write.events.push(self.new_event()),
            (Outcome::Accepted, None) => {
                commit.expectations.clear();
                commit = commit.append(stream(0), ExpectedVersion::Any, vec![self.new_event()]);
            }
        }
        commit
    }

    fn batch_of(&mut self, from: From, drafts: &[RowDraft]) -> ViewBatch {
        let here = self.model.checkpoint;
        let next = |position: Position| Position::from_number(position.number() + 1);
        let to = Checkpoint { position: next(here.position), event_id: Some(EventId(self.draw())), ..here };
        let from = match from {
            From::Here => here,
            From::OtherEvent => Checkpoint { event_id: Some(EventId(self.draw())), ..here },
            From::Ahead => Checkpoint { position: next(here.position), ..here },
            From::OtherLog => Checkpoint { store: StoreId(self.draw()), ..here },
        };
        // One change a row: the last one drafted.
        let mut changes = BTreeMap::new();
        for RowDraft { tenant: owner, key, change } in drafts {
            let address = RowAddress { tenant: tenant(*owner), key: format!("k{key}") };
            let values = |number: i64| {
                let note = (number % 2 == 0).then(|| Value::Text(format!("even {number}")));
                vec![Value::Integer(number), note.unwrap_or(Value::Null)]
            };
            let change = match change {
                Change::Upsert(number) => RowChange::Upsert(address.clone(), values(*number)),
                Change::Patch(number) => {
                    RowChange::Patch(address.clone(), vec![("amount".to_owned(), Value::Integer(*number))])
                }
                Change::Delete => RowChange::Delete(address.clone()),
            };
            changes.insert(address, change);
        }
        ViewBatch::new(from, to, changes.into_values().collect())
    }

    fn new_event(&mut self) -> NewEvent {
        let id = self.draw();
        let kind = EventType::new(EVENT_TYPES[(self.drawn % 2) as usize]).unwrap();
        let payload = Json::encode(&self.drawn.to_string()).unwrap();
        NewEvent { event_id: EventId(id), ..NewEvent::new(kind, SchemaVersion(1), payload) }
    }

    /// A new id, the same in every run of a case.
    fn draw(&mut self) -> Uuid {
        self.drawn += 1;
        Uuid::from_u128(self.drawn)
    }
}

fn totals() -> ViewSchema {
    let column = |name: &str, column_type, indexed: bool| Column {
        name: name.to_owned(),
        column_type,
        nullable: !indexed,
        indexed,
    };
    let columns = vec![column("amount", ColumnType::Integer, true), column("note", ColumnType::Text, false)];
    ViewSchema::new("totals", 1, columns)
}

fn tenant(at: usize) -> TenantId {
    TenantId::new(TENANTS[at]).unwrap()
}

fn stream(at: usize) -> StreamName {
    StreamName::parse(STREAMS[at]).unwrap()
}

fn log_filter(filter: &Filter) -> LogFilter {
    LogFilter {
        categories: filter.categories.iter().map(|at| Category::new(CATEGORIES[*at]).unwrap()).collect(),
        event_types: filter.event_types.iter().map(|at| EventType::new(EVENT_TYPES[*at]).unwrap()).collect(),
    }
}
