use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Barrier;
use tokio::task::JoinHandle;

/// Runs attempts at the same time, each a task of its own that waits for all others to be ready.
/// The results come in the order of the attempts.
pub(crate) async fn together<T, R>(attempts: impl IntoIterator<Item = R>) -> Vec<T>
where
    T: Send + 'static,
    R: Future<Output = T> + Send + 'static,
{
    let attempts: Vec<R> = attempts.into_iter().collect();
    let barrier = Arc::new(Barrier::new(attempts.len()));
    let start = |attempt: R| {
        let barrier = barrier.clone();
        tokio::spawn(async move {
            barrier.wait().await;
            attempt.await
        })
    };
    let tasks: Vec<JoinHandle<T>> = attempts.into_iter().map(start).collect();
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        results.push(finished(task).await);
    }
    results
}

/// What a writer and the readers beside it tell each other. A fast writer would be done before the
/// readers have begun, so it goes on until reads and writes have taken turns often enough.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beside(Arc<Progress>);

#[derive(Debug, Default)]
struct Progress {
    writes: AtomicUsize,
    /// `writes` as the last read found it.
    seen: AtomicUsize,
    /// Reads that came after a write no other read had come after.
    turns: AtomicUsize,
    done: AtomicBool,
}

impl Beside {
    const WRITES_MAX: usize = 10_000;

    /// For the writer, after `writes` of them: whether to write once more. It lets the readers run.
    pub(crate) async fn goes_on(&self, writes: usize, turns_min: usize) -> bool {
        self.0.writes.store(writes, Ordering::Release);
        tokio::task::yield_now().await;
        let turns = self.0.turns.load(Ordering::Acquire);
        writes < turns_min || (turns < turns_min && writes < Self::WRITES_MAX)
    }

    /// For the writer: it is done.
    pub(crate) fn finish(&self) {
        self.0.done.store(true, Ordering::Release);
    }

    /// For a reader, before a read: whether the writer was done, so that the read must show the end.
    pub(crate) async fn is_last_read(&self) -> bool {
        tokio::task::yield_now().await;
        let writes = self.0.writes.load(Ordering::Acquire);
        if self.0.seen.swap(writes, Ordering::AcqRel) < writes {
            self.0.turns.fetch_add(1, Ordering::AcqRel);
        }
        self.0.done.load(Ordering::Acquire)
    }
}

/// The result of a task, or its panic.
pub(crate) async fn finished<T>(task: JoinHandle<T>) -> T {
    match task.await {
        Ok(result) => result,
        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
    }
}
