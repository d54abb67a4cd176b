//! The attack: writers and readers in this process and beside it, kills, and on PostgreSQL whatever
//! else happens in a database; in the middle of that the log moves, by dump and restore.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use servers::{Database, Server};
use tokio::sync::watch;
use tokio::task::JoinSet;
use underlay_core::limits::PAGE_EVENTS_MAX;
use underlay_core::{LogFilter, LogScope, Position};

use super::evidence::{Backup, Evidence, Feed, LogEntry, ReaderEvidence};
use super::moves::copy;
use super::processes::{self, Processes};
use super::reader::Reader;
use super::trouble::{Tally, Troubles};
use super::writer::Writers;
use crate::dice::Dice;
use crate::subject::{Hearing, OpenStore, Place, Subject, Way};
use crate::{Result, journal};

/// Writers in this process.
const WRITERS: usize = 12;
/// The longest time between two kills.
const KILL_INTERVAL_MAX: Duration = Duration::from_millis(400);

/// What an attack came to.
pub(crate) struct Attacked {
    pub(crate) evidence: Evidence,
    pub(crate) tally: Tally,
}

/// Attacks a store. Where it is a database on a server there is trouble besides.
pub(crate) async fn attack(
    subject: &dyn Subject,
    directory: &Path,
    lasts: Duration,
    dice: &mut Dice,
) -> Result<Attacked> {
    let mut attack = Attack::begin(subject, directory, dice).await?;
    let backup = match (subject.server(), attack.place.database().cloned()) {
        (Some(server), Some(database)) => Some(attack.trouble_and_move(server, database, lasts).await?),
        _ => {
            attack.kill_for(lasts).await?;
            None
        }
    };
    let mut attacked = attack.end().await?;
    attacked.evidence.backup = backup;
    Ok(attacked)
}

struct Attack<'a> {
    place: Arc<dyn Place>,
    directory: &'a Path,
    dice: &'a mut Dice,
    open: OpenStore,
    /// Tells the readers of this process which store has the log.
    opened: watch::Sender<OpenStore>,
    /// Tells them where to end.
    goal: watch::Sender<Option<Position>>,
    readers: JoinSet<Result<()>>,
    journals: Vec<(String, Feed, PathBuf)>,
    processes: Processes,
    writers: Option<Writers>,
    tally: Tally,
}

impl<'a> Attack<'a> {
    /// Starts everybody.
    async fn begin(subject: &dyn Subject, directory: &'a Path, dice: &'a mut Dice) -> Result<Self> {
        let place = subject.place("log").await?;
        let open = open(&*place).await?;
        let (opened, readers_open) = watch::channel(open.clone());
        let (goal, known) = watch::channel(None);
        let mut readers = JoinSet::new();
        let mut journals = Vec::new();
        let poll = processes::poll(subject, Way::USUAL);
        for (number, feed) in Feed::ALL.into_iter().chain([Feed::Everything]).enumerate() {
            let path = directory.join(format!("reader-{number}"));
            journals.push((format!("{} ({number})", feed.name()), feed, path.clone()));
            let reader = Reader::new(readers_open.clone(), feed, poll, dice.fork(), known.clone())?;
            readers.spawn(async move { reader.read(&path).await });
        }
        let processes = Processes::start(subject, &*place, directory, dice.fork())?;
        let writers = Some(Writers::start(&open.store, &directory.join("writers"), WRITERS, dice)?);
        let tally = Tally::default();
        Ok(Self { place, directory, dice, open, opened, goal, readers, journals, processes, writers, tally })
    }

    /// Lets them work, and kills processes.
    async fn kill_for(&mut self, lasts: Duration) -> Result<()> {
        let deadline = Instant::now() + lasts;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            tokio::time::sleep(self.dice.time_below(KILL_INTERVAL_MAX).min(left)).await;
            if Instant::now() < deadline {
                self.processes.kill_one(&*self.place)?;
            }
        }
    }

    /// Half of the time in one database, half in another, with trouble in both. A backup is taken
    /// while everybody is at work; before the move writers finish what they do, since what is
    /// committed after a dump is not in it.
    async fn trouble_and_move(
        &mut self,
        server: &Server,
        database: Database,
        lasts: Duration,
    ) -> Result<Backup> {
        let troubles = Troubles::start(&database, &self.directory.join("trouble-0"), self.dice).await?;
        self.kill_for(lasts / 4).await?;
        let (backup, killed) =
            tokio::join!(take_backup(server, &database, self.directory), self.kill_for(lasts / 4));
        killed?;
        self.tally.add(&troubles.finish().await?);
        let remembered = match self.writers.take() {
            Some(writers) => writers.finish().await?,
            None => Vec::new(),
        };
        self.processes.finish_writers()?;

        self.place = Arc::new(copy(server, &database, self.directory).await?);
        let left = std::mem::replace(&mut self.open, open(&*self.place).await?);
        self.opened.send_replace(self.open.clone());
        self.processes.restart_readers(&*self.place)?;
        left.close().await?;
        self.tally.moves += 1;

        self.processes.start_writers(&*self.place)?;
        let journal = self.directory.join("writers");
        self.writers = Some(Writers::go_on(&self.open.store, &journal, remembered, self.dice)?);
        let moved = self.place.database().ok_or("what was moved is no database")?;
        let troubles = Troubles::start(moved, &self.directory.join("trouble-1"), self.dice).await?;
        self.kill_for(lasts / 2).await?;
        self.tally.add(&troubles.finish().await?);
        backup
    }

    /// Lets writers finish, readers read to the end, and gathers what there is to look at.
    async fn end(mut self) -> Result<Attacked> {
        if let Some(writers) = self.writers.take() {
            writers.finish().await?;
        }
        self.processes.finish_writers()?;
        self.goal.send_replace(Some(self.open.store.head().await?));
        self.journals.extend(self.processes.finish_readers()?);
        while let Some(ended) = self.readers.join_next().await {
            ended??;
        }
        let mut evidence = Evidence { log: read_log(&self.open).await?, ..Evidence::default() };
        let beside = ["writers", "trouble-0", "trouble-1"].map(|name| self.directory.join(name));
        for path in self.processes.writer_journals().chain(beside) {
            evidence.writers.extend(journal::read(&path)?);
        }
        for (name, feed, path) in self.journals {
            evidence.readers.push(ReaderEvidence { name, feed, pages: journal::read(&path)? });
        }
        self.open.close().await?;
        self.tally.processes_killed = self.processes.killed;
        Ok(Attacked { evidence, tally: self.tally })
    }
}

async fn open(place: &dyn Place) -> Result<OpenStore> {
    place.address(Way::USUAL).open_when_there().await
}

/// Dumps a log that is being written, and reads what is restored of it.
async fn take_backup(server: &Server, database: &Database, directory: &Path) -> Result<Backup> {
    let head = "SELECT coalesce(max(position), 0) FROM underlay.events";
    let at_least: i64 = database.admin().await?.query_one(head, &[]).await?.get(0);
    let copied = copy(server, database, directory).await?;
    let open = copied.address(Way::Direct(Hearing::Polls)).open().await?;
    let log = read_log(&open).await?;
    open.close().await?;
    Ok(Backup { at_least: at_least.unsigned_abs(), log })
}

/// The log from the start to its end, now that nobody writes.
async fn read_log(open: &OpenStore) -> Result<Vec<LogEntry>> {
    let mut log = Vec::new();
    let mut position = Position::START;
    loop {
        let page = open
            .store
            .read_all(&LogScope::EveryTenant, position, &LogFilter::default(), PAGE_EVENTS_MAX)
            .await?;
        for event in &page.events {
            log.push(LogEntry::new(event)?);
        }
        if page.scanned_to == position {
            return Ok(log);
        }
        position = page.scanned_to;
    }
}
