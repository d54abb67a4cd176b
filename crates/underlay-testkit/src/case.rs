use std::any::Any;
use std::io::Write;
use std::time::Duration;

use crate::{Fixture, Skip};

/// A sentence of a port's contract, with the case that attacks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// The port, by the name of its suite.
    pub port: &'static str,
    /// The number of the sentence.
    pub number: u32,
    /// The name of the case.
    pub name: &'static str,
    /// The sentence.
    pub sentence: &'static str,
}

/// No case needs as long; one that does waits for an answer that never comes.
const CASE_SECONDS_MAX: u64 = 180;

/// Runs a case on a fresh fixture.
///
/// # Panics
/// Where the sentence does not hold, or a server is missing that `REQUIRE_SERVERS=1` asks for.
pub fn prove<F, R>(case: Case, run: impl FnOnce(F) -> R)
where
    F: Fixture,
    R: Future<Output = ()> + Send + 'static,
{
    // Written past the capture of passing tests: nobody should take a skipped test for a passed one.
    prove_or_skip(case, run, is_required(), &mut std::io::stderr());
}

/// Says that a test cannot run here.
///
/// # Panics
/// Where it must.
#[cfg(feature = "model")]
pub(crate) fn skip(name: &str, missing: &Skip) {
    say_skipped(name, &missing.reason, is_required(), &mut std::io::stderr());
}

fn is_required() -> bool {
    std::env::var_os("REQUIRE_SERVERS").is_some_and(|value| value == "1")
}

fn say_skipped(name: &str, reason: &str, required: bool, skips: &mut impl Write) {
    assert!(!required, "{name} must run, REQUIRE_SERVERS=1: {reason}");
    writeln!(skips, "SKIP {name}: {reason}").expect("the skip is written");
}

fn prove_or_skip<F, R>(case: Case, run: impl FnOnce(F) -> R, required: bool, skips: &mut impl Write)
where
    F: Fixture,
    R: Future<Output = ()> + Send + 'static,
{
    let Case { port, number, name, sentence } = case;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime for the case");
    let verdict = runtime.block_on(async {
        match F::create().await {
            Ok(fixture) => judge(run(fixture)).await,
            Err(Skip { reason }) => {
                say_skipped(&format!("{port}::{name}"), &reason, required, skips);
                Ok(())
            }
        }
    });
    // What still runs belongs to a case that has failed.
    runtime.shutdown_background();
    if let Err(reason) = verdict {
        panic!("sentence {number} of the contract of {port} does not hold: {sentence}\n{reason}");
    }
}

/// Runs a case to its end, or to the time no case may take.
async fn judge(run: impl Future<Output = ()> + Send + 'static) -> Result<(), String> {
    let task = tokio::spawn(run);
    match tokio::time::timeout(Duration::from_secs(CASE_SECONDS_MAX), task).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(failure)) => Err(match failure.try_into_panic() {
            Ok(panic) => message(panic.as_ref()),
            Err(cancelled) => cancelled.to_string(),
        }),
        Err(_) => Err(format!("no end after CASE_SECONDS_MAX = {CASE_SECONDS_MAX} seconds")),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASE: Case = Case { port: "event_store", number: 7, name: "a_case", sentence: "It holds." };

    struct Here;

    impl Fixture for Here {
        async fn create() -> Result<Self, Skip> {
            Ok(Self)
        }
        async fn reopen(self) -> Self {
            self
        }
    }

    struct Missing;

    impl Fixture for Missing {
        async fn create() -> Result<Self, Skip> {
            Err(Skip::new("no server"))
        }
        async fn reopen(self) -> Self {
            self
        }
    }

    #[test]
    #[should_panic(expected = "sentence 7 of the contract of event_store does not hold: It holds.\nbut no")]
    fn a_failure_names_its_sentence() {
        prove(CASE, |_: Here| async { panic!("but no") });
    }

    #[test]
    #[should_panic(expected = "event_store::a_case must run, REQUIRE_SERVERS=1: no server")]
    fn a_required_server_is_not_skipped() {
        prove_or_skip(CASE, |_: Missing| async {}, true, &mut Vec::new());
    }

    #[test]
    fn a_missing_server_skips_the_case_and_says_so() {
        let mut skips = Vec::new();
        prove_or_skip(CASE, |_: Missing| async { panic!("there is nothing to run on") }, false, &mut skips);
        assert_eq!(skips, b"SKIP event_store::a_case: no server\n");
    }

    #[test]
    fn a_case_that_holds_passes() {
        let mut skips = Vec::new();
        prove_or_skip(CASE, |_: Here| async {}, true, &mut skips);
        assert_eq!(skips, b"");
    }
}
