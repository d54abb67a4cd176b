//! The processes beside this one: they write and read, are killed, and come again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::evidence::Feed;
use super::ground::{Ground, Way};
use crate::Result;
use crate::child::ChildProcess;
use crate::database::Hearing;
use crate::dice::Dice;

/// Writers in a writing process.
const WRITERS_IN_A_PROCESS: usize = 4;
/// How writing processes come to the store.
const WRITING: [Way; 3] =
    [Way::Direct(Hearing::Listens), Way::Direct(Hearing::Polls), Way::Pooled(Hearing::Polls)];
/// How often a reader looks for itself that does not rely on hints.
pub(crate) const POLL: Duration = Duration::from_millis(100);
/// The same where hints of a database are to be shown to come.
pub(crate) const PATIENT_POLL: Duration = Duration::from_secs(10);

/// A reading process.
struct Reading {
    feed: Feed,
    way: Way,
    poll: Duration,
    journal: PathBuf,
    process: ChildProcess,
}

/// All of them.
pub(crate) struct Processes {
    directory: PathBuf,
    dice: Dice,
    writing: Vec<(Way, ChildProcess)>,
    reading: Vec<Reading>,
    /// Writing processes started so far; each has a journal of its own, from number 1.
    started: usize,
    pub(crate) killed: u64,
}

impl Processes {
    /// Starts them, where the store can be come to by others.
    pub(crate) fn start(ground: &Ground, directory: &Path, dice: Dice) -> Result<Self> {
        let directory = directory.to_owned();
        let mut processes =
            Self { directory, dice, writing: Vec::new(), reading: Vec::new(), started: 0, killed: 0 };
        processes.start_writers(ground)?;
        for (feed, way, poll) in readers(ground) {
            let number = processes.reading.len();
            let journal = processes.directory.join(format!("reader-process-{number}"));
            let process = processes.start_reader(ground, feed, way, poll, &journal)?;
            processes.reading.push(Reading { feed, way, poll, journal, process });
        }
        Ok(processes)
    }

    /// Starts writers where there are none.
    pub(crate) fn start_writers(&mut self, ground: &Ground) -> Result<()> {
        if ground.is_shared() {
            for way in WRITING {
                let process = self.start_writer(ground, way)?;
                self.writing.push((way, process));
            }
        }
        Ok(())
    }

    /// Kills one, and starts it again.
    pub(crate) fn kill_one(&mut self, ground: &Ground) -> Result<()> {
        if self.writing.is_empty() {
            return Ok(());
        }
        self.killed += 1;
        if self.dice.chance(75) {
            let place = self.dice.index(self.writing.len());
            self.writing[place].1.kill()?;
            let way = self.writing[place].0;
            self.writing[place].1 = self.start_writer(ground, way)?;
            return Ok(());
        }
        let place = self.dice.index(self.reading.len());
        self.restart_reader(ground, place)
    }

    /// Kills every reader, and starts it again, where the log has moved.
    pub(crate) fn restart_readers(&mut self, ground: &Ground) -> Result<()> {
        (0..self.reading.len()).try_for_each(|place| self.restart_reader(ground, place))
    }

    /// Lets writers finish their commits.
    pub(crate) fn finish_writers(&mut self) -> Result<()> {
        self.writing.drain(..).try_for_each(|(_, process)| process.finish())
    }

    /// Lets readers read to the end.
    pub(crate) fn finish_readers(&mut self) -> Result<Vec<(String, Feed, PathBuf)>> {
        let finish = |(number, reading): (usize, Reading)| {
            let Reading { feed, way, journal, process, .. } = reading;
            process.finish()?;
            Ok((format!("{} (process {number}, {})", feed.name(), named(way)), feed, journal))
        };
        self.reading.drain(..).enumerate().map(finish).collect()
    }

    /// The journals of all writing processes that ever were.
    pub(crate) fn writer_journals(&self) -> impl Iterator<Item = PathBuf> {
        (1..=self.started).map(|number| self.writer_journal(number))
    }

    fn writer_journal(&self, number: usize) -> PathBuf {
        self.directory.join(format!("writer-process-{number}"))
    }

    fn start_writer(&mut self, ground: &Ground, way: Way) -> Result<ChildProcess> {
        self.started += 1;
        let journal = self.writer_journal(self.started);
        ChildProcess::start("order-writer", |command| {
            command.arg("--database").arg(ground.address(way).to_string()).arg("--journal").arg(journal);
            command.arg("--writers").arg(WRITERS_IN_A_PROCESS.to_string());
            command.arg("--seed").arg(self.dice.seed().to_string());
        })
    }

    fn restart_reader(&mut self, ground: &Ground, place: usize) -> Result<()> {
        self.reading[place].process.kill()?;
        let Reading { feed, way, poll, journal, .. } = &self.reading[place];
        let (feed, way, poll, journal) = (*feed, *way, *poll, journal.clone());
        self.reading[place].process = self.start_reader(ground, feed, way, poll, &journal)?;
        Ok(())
    }

    fn start_reader(
        &mut self,
        ground: &Ground,
        feed: Feed,
        way: Way,
        poll: Duration,
        journal: &Path,
    ) -> Result<ChildProcess> {
        ChildProcess::start("order-reader", |command| {
            command.arg("--database").arg(ground.address(way).to_string()).arg("--journal").arg(journal);
            command.arg("--feed").arg(feed.name()).arg("--seed").arg(self.dice.seed().to_string());
            command.arg("--poll-millis").arg(poll.as_millis().to_string());
        })
    }
}

/// What reading processes read, and how they hear of it.
fn readers(ground: &Ground) -> Vec<(Feed, Way, Duration)> {
    let (listens, polls) = (Way::Direct(Hearing::Listens), Way::Direct(Hearing::Polls));
    match ground {
        Ground::Memory => Vec::new(),
        Ground::Sqlite(_) => vec![(Feed::Everything, listens, POLL), (Feed::OneType, listens, POLL)],
        Ground::Postgres(..) => vec![
            (Feed::Everything, listens, PATIENT_POLL),
            (Feed::OneType, polls, POLL),
            (Feed::Everything, Way::Pooled(Hearing::Polls), POLL),
            (Feed::OneTenant, Way::Pooled(Hearing::Listens), PATIENT_POLL),
        ],
    }
}

fn named(way: Way) -> &'static str {
    match way {
        Way::Direct(Hearing::Listens) => "hinted",
        Way::Direct(Hearing::Polls) => "polls",
        Way::Pooled(Hearing::Listens) => "pooled, hinted",
        Way::Pooled(Hearing::Polls) => "pooled, polls",
    }
}
