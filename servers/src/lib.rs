//! Real servers for tests, attacks and benchmarks, each a private one of this process.
//!
//! A server runs as an unprivileged user, on a free port of this machine, with its files in a fresh
//! folder, and ends with this process, however that ends. What is missing is installed from Debian
//! where this process may do so; the newest PostgreSQL comes from a package of npm.

mod daemon;
mod debian;
mod newest;
mod pgbouncer;
mod postgres;
mod umadb;

pub use self::debian::install;
pub use self::pgbouncer::Pgbouncer;
pub use self::postgres::{Postgres, Shutdown, postgres_program};
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
