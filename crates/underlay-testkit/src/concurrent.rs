use std::sync::Arc;

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

/// The result of a task, or its panic.
pub(crate) async fn finished<T>(task: JoinHandle<T>) -> T {
    match task.await {
        Ok(result) => result,
        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
    }
}
