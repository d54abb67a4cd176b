//! A writer: commits of 1 to 5 events over 1 to 3 streams, with pauses between looking and writing,
//! so that writers get in each other's way; some commits expect what is not so, some are sent twice,
//! some use an id again for something else.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use underlay_core::{
    Commit, CommitId, Error, EventStore, EventType, ExpectedVersion, Json, Metadata, NewEvent, SchemaVersion,
    StreamName, TenantId, Version,
};

use super::evidence::{Acknowledged, CATEGORIES, EVENT_TYPES, Intention, Mark, TENANTS, WriterLine};
use crate::dice::Dice;
use crate::journal::Journal;
use crate::subject::Address;
use crate::{Result, child};

/// Streams in a category of a tenant: few, so that writers meet.
const STREAMS: u64 = 6;
/// The longest pause before a commit.
const PAUSE_MAX: Duration = Duration::from_millis(6);
/// Commits a writer remembers, to send them again.
const REMEMBERED_MAX: usize = 32;
/// How often a commit is sent again while it is uncertain.
const UNCERTAIN_RETRIES_MAX: u32 = 50;

/// Commits a writer has sent.
type Remembered = VecDeque<(TenantId, Commit)>;

/// Writers that work beside each other, with one journal.
pub(crate) struct Writers {
    tasks: JoinSet<Result<Remembered>>,
    stop: watch::Sender<bool>,
}

impl Writers {
    /// Starts `count` writers.
    pub(crate) fn start(
        store: &Arc<dyn EventStore>,
        journal: &Path,
        count: usize,
        dice: &mut Dice,
    ) -> Result<Self> {
        Self::go_on(store, journal, vec![Remembered::new(); count], dice)
    }

    /// Starts writers that remember what others have sent.
    pub(crate) fn go_on(
        store: &Arc<dyn EventStore>,
        journal: &Path,
        remembered: Vec<Remembered>,
        dice: &mut Dice,
    ) -> Result<Self> {
        let journal = Arc::new(Journal::open(journal)?);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for remembered in remembered {
            let (store, journal) = (store.clone(), journal.clone());
            let writer = Writer { store, journal, dice: dice.fork(), remembered };
            tasks.spawn(writer.write(stopped.clone()));
        }
        Ok(Self { tasks, stop })
    }

    /// Lets every writer finish its commit; what they remember.
    pub(crate) async fn finish(mut self) -> Result<Vec<Remembered>> {
        self.stop.send_replace(true);
        let mut remembered = Vec::new();
        while let Some(ended) = self.tasks.join_next().await {
            remembered.push(ended??);
        }
        Ok(remembered)
    }
}

/// The child process `order-writer`: writers until they are told to finish, or killed.
pub(crate) async fn run_child(address: &Address, journal: &Path, count: usize, seed: u64) -> Result<()> {
    let open = address.open_when_there().await?;
    let writers = Writers::start(&open.store, journal, count, &mut Dice::new(seed))?;
    child::say_ready()?;
    child::told_to_finish().await;
    writers.finish().await?;
    open.close().await
}

struct Writer {
    store: Arc<dyn EventStore>,
    journal: Arc<Journal>,
    dice: Dice,
    remembered: Remembered,
}

impl Writer {
    async fn write(mut self, stopped: watch::Receiver<bool>) -> Result<Remembered> {
        while !*stopped.borrow() {
            match self.dice.below(100) {
                0..90 => self.write_new().await?,
                90..97 => self.write_again().await?,
                _ => self.use_an_id_again().await?,
            }
        }
        Ok(self.remembered)
    }

    async fn write_new(&mut self) -> Result<()> {
        let Some((tenant, commit)) = self.plan().await? else { return self.pause().await };
        tokio::time::sleep(self.dice.time_below(PAUSE_MAX)).await;
        if self.dice.chance(5) {
            // The same id twice at the same time.
            let (first, second) = tokio::join!(self.send(&tenant, &commit), self.send(&tenant, &commit));
            first.and(second)?;
        } else {
            self.send(&tenant, &commit).await?;
        }
        if self.remembered.len() == REMEMBERED_MAX {
            self.remembered.pop_front();
        }
        self.remembered.push_back((tenant, commit));
        Ok(())
    }

    /// Sends a commit of before: where it was stored, the first answer comes again; where it was
    /// declined, it may be stored now.
    async fn write_again(&mut self) -> Result<()> {
        let place = self.dice.roll() as usize;
        let Some((tenant, commit)) = self.remembered.get(place % REMEMBERED_MAX).cloned() else {
            return Ok(());
        };
        self.send(&tenant, &commit).await
    }

    /// Sends something else under the id of a commit that is stored.
    async fn use_an_id_again(&mut self) -> Result<()> {
        let place = self.dice.roll() as usize;
        let Some((tenant, commit)) = self.remembered.get(place % REMEMBERED_MAX).cloned() else {
            return Ok(());
        };
        match self.store.find_commit(&tenant, commit.id).await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(Error::Unavailable { .. }) => return self.pause().await,
            Err(error) => return Err(error.into()),
        }
        let other = Commit::new(commit.id).expect(StreamName::new("nobody", "here")?, ExpectedVersion::Any);
        let id = commit.id;
        match self.store.commit(&tenant, other).await {
            Err(Error::IdReused(_) | Error::Unavailable { .. } | Error::Uncertain { .. }) => Ok(()),
            Ok(_) => self.journal.write(&WriterLine::Wrong(format!("id {id} was taken for something else"))),
            Err(error) => {
                self.journal.write(&WriterLine::Wrong(format!("a re-used id {id} was answered by: {error}")))
            }
        }
    }

    /// Where the store has no connection or no time, it is left alone for a moment.
    async fn pause(&mut self) -> Result<()> {
        tokio::time::sleep(self.dice.time_below(PAUSE_MAX)).await;
        Ok(())
    }

    async fn send(&self, tenant: &TenantId, commit: &Commit) -> Result<()> {
        let id = commit.id;
        let expected = commit.streams().map(|(stream, expected)| (stream.clone(), expected)).collect();
        let intention = Intention { commit: id.0, tenant: tenant.clone(), expected };
        self.journal.write(&WriterLine::Intended(intention))?;
        for _ in 0..UNCERTAIN_RETRIES_MAX {
            let line = match self.store.commit(tenant, commit.clone()).await {
                Ok(committed) => WriterLine::Acknowledged(Acknowledged::new(&committed)),
                Err(Error::Uncertain { .. }) => continue,
                Err(Error::Conflict(conflict)) => {
                    if conflict.expected.allows(conflict.actual) {
                        let text = format!("commit {id}: {conflict}, which is no conflict");
                        self.journal.write(&WriterLine::Wrong(text))?;
                    }
                    WriterLine::Declined { commit: id.0, conflict: true }
                }
                Err(Error::Unavailable { .. }) => WriterLine::Declined { commit: id.0, conflict: false },
                Err(error) => WriterLine::Wrong(format!("commit {id} was answered by: {error}")),
            };
            return self.journal.write(&line);
        }
        Err(format!("commit {id} was uncertain {UNCERTAIN_RETRIES_MAX} times").into())
    }

    /// A commit over streams as they are now, or as they are meant not to be; none where the store has no
    /// time to say how they are.
    async fn plan(&mut self) -> Result<Option<(TenantId, Commit)>> {
        let tenant = TenantId::new(TENANTS[self.dice.index(TENANTS.len())])?;
        let mut streams: Vec<StreamName> = Vec::new();
        let written = 1 + self.dice.index(3);
        let read = usize::from(self.dice.chance(15));
        while streams.len() < written + read {
            let category = CATEGORIES[self.dice.index(CATEGORIES.len())];
            let stream = StreamName::new(category, self.dice.below(STREAMS))?;
            if !streams.contains(&stream) {
                streams.push(stream);
            }
        }
        let versions = match self.store.versions(&tenant, &streams).await {
            Err(Error::Unavailable { .. }) => return Ok(None),
            versions => versions?,
        };
        let id = CommitId(self.dice.uuid());
        // Every stream gets an event, and some get more.
        let mut counts = vec![1; written];
        for _ in 0..self.dice.below(6 - written as u64) {
            let place = self.dice.index(written);
            counts[place] += 1;
        }
        let count: u32 = counts.iter().sum();
        let mut mark = Mark { commit: id.0, index: 0, count };
        let metadata = Metadata { command_id: Some(id), ..Metadata::default() };
        let mut commit = Commit::new(id).with_metadata(metadata);
        for ((stream, version), events) in streams.iter().zip(&versions).zip(counts) {
            let mut new = Vec::new();
            for _ in 0..events {
                let event_type = EventType::new(EVENT_TYPES[self.dice.index(EVENT_TYPES.len())])?;
                new.push(NewEvent::new(event_type, SchemaVersion(1), Json::encode(&mark)?));
                mark.index += 1;
            }
            commit = commit.append(stream.clone(), self.expect(*version), new);
        }
        for (stream, version) in streams.iter().zip(&versions).skip(written) {
            commit = commit.expect(stream.clone(), ExpectedVersion::Exact(*version));
        }
        Ok(Some((tenant, commit)))
    }

    fn expect(&mut self, version: Version) -> ExpectedVersion {
        match self.dice.below(100) {
            0..40 => ExpectedVersion::Exact(version),
            // What was true a moment ago, or is not yet: conflicts on purpose.
            40..46 => ExpectedVersion::Exact(Version(version.0.saturating_sub(1))),
            46..50 => ExpectedVersion::Exact(version.plus(1)),
            50..53 => ExpectedVersion::NoStream,
            53..60 => ExpectedVersion::Exists,
            _ => ExpectedVersion::Any,
        }
    }
}
