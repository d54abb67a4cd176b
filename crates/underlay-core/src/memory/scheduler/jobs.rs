//! What a scheduler in memory knows of its jobs.
//!
//! ```text
//!  asked for ──► ready ──► going ──► done, or failed for the last time ──► ended
//!                 ▲ ▲        ├─────► gone ──► forgotten
//!  to wait ──► waiting ◄─────┼─────── failed, or another's: after a pause
//!                 ▲          └─────► its line is not free ──► parked, until it is asked for
//!                 └ its process ended: it is ready again
//! ```

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::ports::{Job, JobEnd};
use crate::words::{TenantId, Timestamp};

/// The pause before a job is begun again that another program is to do.
const ANOTHERS_PAUSE: Duration = Duration::from_millis(100);
/// Jobs that are remembered after they ended.
const ENDED_MAX: usize = 10_000;

/// What tells a job from all others.
pub(super) type Key = (TenantId, String);

/// The number of whoever makes attempts.
pub(super) type Process = u64;

/// An attempt that is to be made.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub(super) job: Job,
    pub(super) number: u32,
    pub(super) is_due: bool,
}

/// What who asks for a job is answered.
pub(super) enum Asked {
    /// This is what it came to.
    Told(JobEnd),
    /// It goes on.
    Waits(oneshot::Receiver<JobEnd>),
}

#[derive(Debug)]
enum Stage {
    Waiting { until: Timestamp, is_begun: bool },
    Ready,
    Going,
    Parked,
    Ended(JobEnd),
}

#[derive(Debug)]
struct Entry {
    job: Job,
    /// The attempt that goes on, or is next.
    number: u32,
    is_due: bool,
    stage: Stage,
    /// Who said last that another is to do it.
    not_by: Option<Process>,
    /// What an attempt came to that nobody was told of.
    untold: Option<JobEnd>,
    waiting: Vec<oneshot::Sender<JobEnd>>,
}

/// All jobs.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    entries: HashMap<Key, Entry>,
    ready: VecDeque<Key>,
    waits: BTreeSet<(Timestamp, Key)>,
    ended: VecDeque<Key>,
    processes: BTreeSet<Process>,
    last_process: Process,
    pub(super) is_away: bool,
}

pub(super) fn key_of(job: &Job) -> Key {
    (job.tenant.clone(), job.id())
}

impl Jobs {
    /// One more process makes attempts.
    pub(super) fn arrive(&mut self) -> Process {
        self.last_process += 1;
        self.processes.insert(self.last_process);
        self.last_process
    }

    /// A process makes no attempts any more.
    pub(super) fn leave(&mut self, process: Process) {
        self.processes.remove(&process);
    }

    /// Has a job begun, unless it was.
    pub(super) fn ask(&mut self, job: &Job, number: u32) -> Asked {
        let key = key_of(job);
        let entry = self.entries.entry(key.clone()).or_insert_with(|| Entry::new(job, number));
        if let Some(end) = entry.untold.take() {
            return Asked::Told(end);
        }
        match &entry.stage {
            Stage::Ended(JobEnd::Failed { .. }) if number == 1 => {
                (entry.number, entry.stage) = (1, Stage::Parked);
            }
            Stage::Ended(end) => return Asked::Told(end.clone()),
            _ => {}
        }
        entry.is_due = true;
        let is_begun = match entry.stage {
            Stage::Waiting { until, is_begun: false } => {
                self.waits.remove(&(until, key.clone()));
                false
            }
            Stage::Parked => false,
            _ => true,
        };
        if !is_begun {
            entry.stage = Stage::Ready;
            self.ready.push_back(key);
        }
        let (told, end) = oneshot::channel();
        entry.waiting.retain(|waiting| !waiting.is_closed());
        entry.waiting.push(told);
        Asked::Waits(end)
    }

    /// Has a job begun at a moment, unless it was.
    pub(super) fn put_off(&mut self, job: &Job, until: Timestamp) {
        let key = key_of(job);
        if !self.entries.contains_key(&key) {
            let stage = Stage::Waiting { until, is_begun: false };
            self.entries.insert(key.clone(), Entry { stage, ..Entry::new(job, 1) });
            self.waits.insert((until, key));
        }
    }

    /// The next attempt that a process is to make.
    pub(super) fn next(&mut self, process: Process, now: Timestamp) -> Option<Turn> {
        if self.is_away {
            return None;
        }
        while self.next_moment().is_some_and(|moment| moment <= now) {
            let Some((_, key)) = self.waits.pop_first() else { break };
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.stage = Stage::Ready;
                self.ready.push_back(key);
            }
        }
        let is_alone = self.processes.len() < 2;
        let entries = &self.entries;
        let takes =
            |key: &Key| is_alone || entries.get(key).is_none_or(|entry| entry.not_by != Some(process));
        let key = self.ready.remove(self.ready.iter().position(takes)?)?;
        let entry = self.entries.get_mut(&key)?;
        entry.stage = Stage::Going;
        Some(Turn { job: entry.job.clone(), number: entry.number, is_due: entry.is_due })
    }

    /// The next moment that a job waits for.
    pub(super) fn next_moment(&self) -> Option<Timestamp> {
        self.waits.first().map(|(moment, _)| *moment)
    }

    /// An attempt has ended.
    pub(super) fn ended(&mut self, key: Key, process: Process, end: JobEnd, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        match &end {
            JobEnd::Failed { retry_in: Some(pause), .. } => {
                entry.number = entry.number.saturating_add(1);
                self.wait(key.clone(), now, *pause);
            }
            JobEnd::Anothers { .. } => {
                entry.not_by = Some(process);
                return self.wait(key, now, ANOTHERS_PAUSE);
            }
            JobEnd::Waits if entry.is_due => {
                entry.stage = Stage::Ready;
                return self.ready.push_back(key);
            }
            JobEnd::Waits => {
                entry.stage = Stage::Parked;
                return;
            }
            JobEnd::Gone => {}
            JobEnd::Done | JobEnd::Failed { .. } => {
                entry.stage = Stage::Ended(end.clone());
                self.ended.push_back(key.clone());
            }
        }
        self.tell(&key, &end);
        if end == JobEnd::Gone {
            self.entries.remove(&key);
        }
        while self.ended.len() > ENDED_MAX {
            let is_ended = |entry: &Entry| matches!(entry.stage, Stage::Ended(_));
            if let Some(oldest) =
                self.ended.pop_front().filter(|key| self.entries.get(key).is_some_and(is_ended))
            {
                self.entries.remove(&oldest);
            }
        }
    }

    /// An attempt ended with its process, or did not end in its time.
    pub(super) fn lost(&mut self, key: Key) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.stage = Stage::Ready;
            self.ready.push_front(key);
        }
    }

    /// Forgets every job.
    pub(super) fn forget(&mut self) {
        self.entries.clear();
        self.ready.clear();
        self.waits.clear();
        self.ended.clear();
    }

    fn wait(&mut self, key: Key, now: Timestamp, pause: Duration) {
        let until = now.saturating_add(pause).unwrap_or(Timestamp::MAX);
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.stage = Stage::Waiting { until, is_begun: true };
            self.waits.insert((until, key));
        }
    }

    fn tell(&mut self, key: &Key, end: &JobEnd) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        // All of them are told, whoever is gone among them.
        let told = entry.waiting.drain(..).filter_map(|waiting| waiting.send(end.clone()).ok()).count();
        entry.untold = (told == 0).then(|| end.clone());
    }
}

impl Entry {
    /// A job that is about to be begun.
    fn new(job: &Job, number: u32) -> Self {
        Self {
            job: job.clone(),
            number,
            is_due: false,
            stage: Stage::Parked,
            not_by: None,
            untold: None,
            waiting: Vec::new(),
        }
    }
}
