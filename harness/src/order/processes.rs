//! The processes beside this one: they write and read, are killed, and come again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::evidence::Feed;
use crate::Result;
use crate::child::ChildProcess;
use crate::dice::Dice;
use crate::subject::{Hearing, Place, Subject, Way};

/// Writers in a writing process.
const WRITERS_IN_A_PROCESS: usize = 4;
/// What reading processes read, one after the other.
const FEEDS: [Feed; 4] = [Feed::Everything, Feed::OneType, Feed::Everything, Feed::OneTenant];
/// How often a reader looks for itself that does not rely on hints.
const POLL: Duration = Duration::from_millis(100);
/// The same where hints of a store are to be shown to come.
const PATIENT_POLL: Duration = Duration::from_secs(10);

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
    /// How writing processes come to the store.
    ways: &'static [Way],
    writing: Vec<(Way, ChildProcess)>,
    reading: Vec<Reading>,
    /// Writing processes started so far; each has a journal of its own, from number 1.
    started: usize,
    pub(crate) killed: u64,
}

impl Processes {
    /// Starts them, where the store can be come to by others.
    pub(crate) fn start(
        subject: &dyn Subject,
        place: &dyn Place,
        directory: &Path,
        dice: Dice,
    ) -> Result<Self> {
        let mut processes = Self {
            directory: directory.to_owned(),
            dice,
            ways: subject.writing(),
            writing: Vec::new(),
            reading: Vec::new(),
            started: 0,
            killed: 0,
        };
        processes.start_writers(place)?;
        for (number, (way, feed)) in subject.reading().iter().zip(FEEDS.into_iter().cycle()).enumerate() {
            let (way, poll) = (*way, poll(subject, *way));
            let journal = processes.directory.join(format!("reader-process-{number}"));
            let process = processes.start_reader(place, feed, way, poll, &journal)?;
            processes.reading.push(Reading { feed, way, poll, journal, process });
        }
        Ok(processes)
    }

    /// Starts writers where there are none.
    pub(crate) fn start_writers(&mut self, place: &dyn Place) -> Result<()> {
        for way in self.ways {
            let process = self.start_writer(place, *way)?;
            self.writing.push((*way, process));
        }
        Ok(())
    }

    /// Kills one, and starts it again.
    pub(crate) fn kill_one(&mut self, place: &dyn Place) -> Result<()> {
        if self.writing.is_empty() {
            return Ok(());
        }
        self.killed += 1;
        if self.dice.chance(75) {
            let chosen = self.dice.index(self.writing.len());
            self.writing[chosen].1.kill()?;
            let way = self.writing[chosen].0;
            self.writing[chosen].1 = self.start_writer(place, way)?;
            return Ok(());
        }
        let chosen = self.dice.index(self.reading.len());
        self.restart_reader(place, chosen)
    }

    /// Kills every reader, and starts it again, where the log has moved.
    pub(crate) fn restart_readers(&mut self, place: &dyn Place) -> Result<()> {
        (0..self.reading.len()).try_for_each(|reader| self.restart_reader(place, reader))
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

    fn start_writer(&mut self, place: &dyn Place, way: Way) -> Result<ChildProcess> {
        self.started += 1;
        let journal = self.writer_journal(self.started);
        ChildProcess::start("order-writer", |command| {
            command.arg("--database").arg(place.address(way).to_string()).arg("--journal").arg(journal);
            command.arg("--writers").arg(WRITERS_IN_A_PROCESS.to_string());
            command.arg("--seed").arg(self.dice.seed().to_string());
        })
    }

    fn restart_reader(&mut self, place: &dyn Place, reader: usize) -> Result<()> {
        self.reading[reader].process.kill()?;
        let Reading { feed, way, poll, journal, .. } = &self.reading[reader];
        let (feed, way, poll, journal) = (*feed, *way, *poll, journal.clone());
        self.reading[reader].process = self.start_reader(place, feed, way, poll, &journal)?;
        Ok(())
    }

    fn start_reader(
        &mut self,
        place: &dyn Place,
        feed: Feed,
        way: Way,
        poll: Duration,
        journal: &Path,
    ) -> Result<ChildProcess> {
        ChildProcess::start("order-reader", |command| {
            command.arg("--database").arg(place.address(way).to_string()).arg("--journal").arg(journal);
            command.arg("--feed").arg(feed.name()).arg("--seed").arg(self.dice.seed().to_string());
            command.arg("--poll-millis").arg(poll.as_millis().to_string());
        })
    }
}

/// How long a reader waits for a hint before it looks for itself.
pub(crate) fn poll(subject: &dyn Subject, way: Way) -> Duration {
    if subject.is_hinted() && way.hearing() == Hearing::Listens { PATIENT_POLL } else { POLL }
}

fn named(way: Way) -> &'static str {
    match way {
        Way::Direct(Hearing::Listens) => "hinted",
        Way::Direct(Hearing::Polls) => "polls",
        Way::Pooled(Hearing::Listens) => "pooled, hinted",
        Way::Pooled(Hearing::Polls) => "pooled, polls",
    }
}
