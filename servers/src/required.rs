//! The rule for what is missing: whoever needs it says `SKIP name: reason` and goes on without it. Where
//! servers are required, as in continuous integration, it is a failure.

use std::collections::BTreeSet;
use std::env;
use std::error::Error;
use std::fmt;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

/// Set to 1, nothing may be missing.
pub const REQUIRE_VARIABLE: &str = "REQUIRE_SERVERS";

/// Whether a server or a program that is missing is a failure.
///
/// The test kit reads the same variable for itself: it is published, and this crate is not.
#[must_use]
pub fn is_required() -> bool {
    env::var(REQUIRE_VARIABLE).is_ok_and(|value| value == "1")
}

/// Why something cannot run here: a server or a program is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What is missing.
    pub name: &'static str,
    /// Why, and how to provide it.
    pub reason: String,
}

impl Missing {
    /// Something that is not here, for a reason.
    pub fn new(name: &'static str, reason: impl fmt::Display) -> Self {
        Self { name, reason: reason.to_string() }
    }

    /// Lets a test end that cannot run. It says so once in a process.
    ///
    /// # Panics
    /// Where servers are required.
    pub fn skip_test(&self) {
        static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
        assert!(!is_required(), "this test must run, {REQUIRE_VARIABLE}=1, and {self}");
        let line = self.skip_line();
        if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(line.clone()) {
            // Written past the capture of passing tests: nobody takes a skipped test for a passed one.
            writeln!(std::io::stderr(), "{line}").ok();
        }
    }

    /// The line that says what is skipped.
    #[must_use]
    pub fn skip_line(&self) -> String {
        format!("SKIP {}: {}", self.name, self.reason)
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is missing: {}", self.name, self.reason)
    }
}

impl Error for Missing {}
