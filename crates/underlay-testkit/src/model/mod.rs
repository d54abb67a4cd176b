//! Random operations on a store, each answer compared with that of a model in plain collections.
//!
//! A case is a list of operations: commits right and wrong, repeats, reads, writes to a view, snapshots,
//! failures injected into the writer, a clock that goes backwards, reopenings and crashes. What fails is
//! shrunk to the shortest list that still does. `PROPTEST_CASES` sets how many cases are run.
//!
//! [`Subject`] is all that is asked of an adapter, so every one runs the same cases.

mod answers;
mod comparison;
mod operation;
mod subject;

pub use operation::Reopening;
pub use subject::{InMemory, SetClock, Subject};

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use comparison::Comparison;

use crate::case::skip;

/// Operations in one case.
const OPERATIONS_MAX: usize = 60;
/// No case needs as long; one that does waits for an answer that never comes.
const CASE_TIME_MAX: Duration = Duration::from_secs(60);

/// Runs as many cases as the environment asks for, or `cases`; says so where a server is missing.
///
/// # Panics
/// Where an answer is not the model's, with the shortest list of operations that shows it; or where a
/// server is missing that `REQUIRE_SERVERS=1` asks for.
pub fn compare<S: Subject>(cases: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime for the cases");
    if let Err(missing) = runtime.block_on(S::create(SetClock::new())) {
        return skip("model", &missing);
    }
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    let operations = prop::collection::vec(operation::any_operation(), 1..OPERATIONS_MAX);
    let verdict = TestRunner::new(config).run(&operations, |operations| {
        runtime.block_on(async {
            let case = async {
                let mut comparison = Comparison::<S>::begin().await;
                for operation in &operations {
                    comparison.step(operation).await?;
                }
                comparison.everything().await
            };
            match tokio::time::timeout(CASE_TIME_MAX, case).await {
                Ok(verdict) => verdict,
                Err(_) => Err(TestCaseError::fail(format!("no end after {CASE_TIME_MAX:?}"))),
            }
        })
    });
    if let Err(failure) = verdict {
        panic!("{failure}");
    }
}
