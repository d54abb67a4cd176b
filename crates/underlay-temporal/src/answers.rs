use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use underlay_core::ports::{Job, JobEnd};

/// What a job is called among those who wait.
pub(crate) fn name(job: &Job) -> String {
    format!("{}/{}", job.tenant.as_str(), job.id())
}

/// How many ends of local activities are kept.
const ENDS_KEPT_MAX: usize = 1_000;

/// How long a job is waited for in this process alone, before the server is asked how it ended: where nearly all jobs
/// that are asked for here are done here, and where most are. Where fewer are, the server is asked at once. Under load
/// jobs take longer, and to ask for each of them would be more load.
const HOME_FIRST: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(200));
/// All of them, where shares are counted.
const WHOLE: u32 = 1_000;
/// Which part of the share the last end is.
const LAST: u32 = 16;
/// The share that a process begins with.
const SHARE_FIRST: u32 = WHOLE * 7 / 8;

/// Who waits in this process for what a job comes to. An attempt that ends in the same process tells them at once: that
/// is the usual case, and the server need not be asked. Nobody is told of an end that the store does not know of, since
/// an attempt stores what it decides before it ends.
#[derive(Debug)]
pub(crate) struct Answers {
    waiting: Mutex<HashMap<String, Vec<Asked>>>,
    kept: Mutex<Kept>,
    /// The share of the last ends that were told in this process, of [`WHOLE`].
    at_home: AtomicU32,
}

impl Default for Answers {
    fn default() -> Self {
        Self { waiting: Mutex::default(), kept: Mutex::default(), at_home: AtomicU32::new(SHARE_FIRST) }
    }
}

/// Somebody who asked for an attempt, and is told of it or a later one.
#[derive(Debug)]
struct Asked {
    number: u32,
    waiter: oneshot::Sender<JobEnd>,
}

/// A local activity: the id of its run and its own there.
type LocalId = (String, String);

/// What the last local activities came to, the oldest first. The server refuses the end of a workflow task where a signal
/// came meanwhile, and has the task done once more: nothing is attempted twice for that.
#[derive(Debug, Default)]
struct Kept {
    ends: HashMap<LocalId, JobEnd>,
    order: VecDeque<LocalId>,
}

impl Answers {
    /// Waits for the end of an attempt at a job, by its name, or of one after it.
    pub(crate) fn wait_for(self: &Arc<Self>, id: &str, number: u32) -> Waiter {
        let (waiter, told) = oneshot::channel();
        self.lock().entry(id.to_owned()).or_default().push(Asked { number, waiter });
        Waiter { answers: self.clone(), id: id.to_owned(), told }
    }

    /// Tells everybody who waits for an attempt at a job.
    pub(crate) fn tell(&self, id: &str, number: u32, end: &JobEnd) {
        let mut waiting = self.lock();
        let Some(asked) = waiting.get_mut(id) else { return };
        for asked in asked.extract_if(.., |asked| asked.number <= number) {
            // Who has gone is told nothing.
            drop(asked.waiter.send(end.clone()));
        }
        if asked.is_empty() {
            waiting.remove(id);
        }
    }

    /// How long a job that was just begun is waited for in this process alone.
    pub(crate) fn home_first(&self) -> Duration {
        match self.at_home.load(Ordering::Relaxed) {
            share if share > WHOLE * 15 / 16 => HOME_FIRST.0,
            share if share > WHOLE * 3 / 4 => HOME_FIRST.1,
            _ => Duration::ZERO,
        }
    }

    /// Counts an end that was told in this process, or by the server.
    pub(crate) fn count(&self, is_at_home: bool) {
        let share = self.at_home.load(Ordering::Relaxed);
        let end = if is_at_home { WHOLE } else { 0 };
        // Of two that count at once one may be lost.
        self.at_home.store((share * (LAST - 1) + end).div_ceil(LAST), Ordering::Relaxed);
    }

    /// What a local activity came to, where it was made in this process before.
    pub(crate) fn kept(&self, id: &LocalId) -> Option<JobEnd> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).ends.get(id).cloned()
    }

    /// Keeps what a local activity came to.
    pub(crate) fn keep(&self, id: LocalId, end: &JobEnd) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.ends.insert(id.clone(), end.clone()).is_none() {
            kept.order.push_back(id);
        }
        if kept.order.len() > ENDS_KEPT_MAX
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.ends.remove(&oldest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Asked>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits; dropped, nobody.
#[derive(Debug)]
pub(crate) struct Waiter {
    answers: Arc<Answers>,
    id: String,
    told: oneshot::Receiver<JobEnd>,
}

impl Waiter {
    /// What the job came to.
    pub(crate) async fn told(&mut self) -> JobEnd {
        match (&mut self.told).await {
            Ok(end) => end,
            // It is dropped with this waiter only.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.told.close();
        let mut waiting = self.answers.lock();
        if let Some(others) = waiting.get_mut(&self.id) {
            others.retain(|other| !other.waiter.is_closed());
            if others.is_empty() {
                waiting.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_who_waits_for_a_job_is_told_and_nobody_is_kept() {
        let answers = Arc::new(Answers::default());
        let (mut first, mut second, other) =
            (answers.wait_for("a", 1), answers.wait_for("a", 2), answers.wait_for("b", 1));
        answers.tell("a", 1, &JobEnd::Gone);
        answers.tell("a", 3, &JobEnd::Done);
        assert_eq!((first.told().await, second.told().await), (JobEnd::Gone, JobEnd::Done));
        let gone = answers.wait_for("a", 1);
        drop(gone);
        assert_eq!(answers.lock().keys().collect::<Vec<_>>(), ["b"]);
        drop(other);
        assert!(answers.lock().is_empty());
    }

    #[test]
    fn a_process_learns_whether_it_does_its_jobs_itself() {
        let answers = Answers::default();
        assert_eq!(answers.home_first(), HOME_FIRST.1, "until it knows better");
        for _ in 0..LAST {
            answers.count(false);
        }
        assert_eq!(answers.home_first(), Duration::ZERO);
        for _ in 0..4 * LAST {
            answers.count(true);
        }
        assert_eq!(answers.home_first(), HOME_FIRST.0);
        answers.count(false);
        assert_eq!(answers.home_first(), HOME_FIRST.1);
    }

    #[test]
    fn the_last_ends_of_local_activities_are_kept() {
        let answers = Answers::default();
        let id = |n: usize| (n.to_string(), "1".to_owned());
        for n in 0..=ENDS_KEPT_MAX {
            answers.keep(id(n), &JobEnd::Done);
            answers.keep(id(n), &JobEnd::Done);
        }
        assert_eq!(answers.kept(&id(0)), None, "it was the oldest");
        assert_eq!(answers.kept(&id(1)), Some(JobEnd::Done));
        assert_eq!(answers.kept(&id(ENDS_KEPT_MAX)), Some(JobEnd::Done));
    }
}
