use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use underlay_core::ports::{Job, JobEnd};

/// What a job is called among those who wait.
pub(crate) fn name(job: &Job) -> String {
    format!("{}/{}", job.tenant.as_str(), job.id())
}

/// Who waits in this process for what a job comes to. An attempt that ends in the same process tells them at once: that
/// is the usual case, and the server need not be asked. Nobody is told of an end that the store does not know of, since
/// an attempt stores what it decides before it ends.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    waiting: Mutex<HashMap<String, Vec<oneshot::Sender<JobEnd>>>>,
}

impl Answers {
    /// Waits for the next end of a job, by its name.
    pub(crate) fn wait_for(self: &Arc<Self>, id: &str) -> Waiter {
        let (sender, told) = oneshot::channel();
        self.lock().entry(id.to_owned()).or_default().push(sender);
        Waiter { answers: self.clone(), id: id.to_owned(), told }
    }

    /// Tells everybody who waits for a job.
    pub(crate) fn tell(&self, id: &str, end: &JobEnd) {
        for waiter in self.lock().remove(id).into_iter().flatten() {
            // Who has gone is told nothing.
            drop(waiter.send(end.clone()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<oneshot::Sender<JobEnd>>>> {
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
            others.retain(|other| !other.is_closed());
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
            (answers.wait_for("a"), answers.wait_for("a"), answers.wait_for("b"));
        answers.tell("a", &JobEnd::Done);
        assert_eq!((first.told().await, second.told().await), (JobEnd::Done, JobEnd::Done));
        let gone = answers.wait_for("a");
        drop(gone);
        assert_eq!(answers.lock().keys().collect::<Vec<_>>(), ["b"]);
        drop(other);
        assert!(answers.lock().is_empty());
    }
}
