//! `cargo xtask services`: the real programs that tests are run against.
//!
//! What is missing is installed from Debian where this process may do so. What stays missing is
//! said with the reason; with `REQUIRE_SERVERS=1` that is a failure, since the tests would be
//! skipped.
//!
//! Servers are started privately, on a free port of this machine, with their files in a fresh folder,
//! and end with this process. Tests find them by environment variables; where one is set already, the
//! server it names is used and none is started.

mod daemon;
mod pgbouncer;
mod postgres;

use std::env;
use std::process::{Command, Stdio};

use clap::ArgMatches;

use self::pgbouncer::Pgbouncer;
use self::postgres::Postgres;
use crate::Result;
use crate::cargo::{output, run as run_program};

/// A program that tests start themselves, from a Debian package.
#[derive(Debug)]
struct Program {
    name: &'static str,
    package: &'static str,
    purpose: &'static str,
}

const PROGRAMS: &[Program] = &[Program {
    name: "hledger",
    package: "hledger",
    purpose: "computes the balances of a journal, to judge those of the ledger",
}];

pub(crate) fn command() -> clap::Command {
    clap::Command::new("services").about("Finds or installs what the tests need, and prints what is there")
}

pub(crate) fn run(_: &ArgMatches) -> Result<()> {
    // Started to show that they start; they end with this.
    provide().map(drop)
}

/// The servers that were started. They end when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Running {
    /// Before the server it leads to.
    pgbouncer: Option<Pgbouncer>,
    postgres: Option<Postgres>,
}

impl Running {
    /// What tests find the servers by.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let postgres = self.postgres.as_ref().map(|server| (postgres::VARIABLE, server.address()));
        let pgbouncer = self.pgbouncer.as_ref().map(|server| (pgbouncer::VARIABLE, server.address()));
        postgres.into_iter().chain(pgbouncer).collect()
    }
}

/// Finds or installs everything, starts the servers, and prints a line for each.
///
/// # Errors
/// Where something is missing and `REQUIRE_SERVERS=1`.
pub(crate) fn provide() -> Result<Running> {
    let required = env::var("REQUIRE_SERVERS").is_ok_and(|value| value == "1");
    let mut missing = Vec::new();
    let mut lacks = |name: &str, reason: String| {
        if required {
            missing.push(format!("{name} ({reason})"));
        } else {
            println!("SKIP {name}: {reason}");
        }
    };
    for program in PROGRAMS {
        match program.find_or_install() {
            Ok(version) => println!("{}: {version} ({})", program.name, program.purpose),
            Err(reason) => lacks(program.name, reason.to_string()),
        }
    }
    let mut running = Running::default();
    if env::var_os(postgres::VARIABLE).is_some() {
        println!("postgres: the server of {}", postgres::VARIABLE);
        return finish(running, missing);
    }
    match Postgres::start() {
        Ok(server) => {
            println!("postgres: {} at {} (tests of the PostgreSQL store)", server.version, server.address());
            match Pgbouncer::start(&server) {
                Ok(pooler) => {
                    println!(
                        "pgbouncer: {} at {} (the same through a pooler)",
                        pooler.version,
                        pooler.address()
                    );
                    running.pgbouncer = Some(pooler);
                }
                Err(reason) => lacks("pgbouncer", reason.to_string()),
            }
            running.postgres = Some(server);
        }
        Err(reason) => lacks("postgres", reason.to_string()),
    }
    finish(running, missing)
}

fn finish(running: Running, missing: Vec<String>) -> Result<Running> {
    if missing.is_empty() {
        return Ok(running);
    }
    Err(format!("missing, and REQUIRE_SERVERS=1: {}", missing.join(", ")).into())
}

impl Program {
    /// Its version; an error says why it is not here.
    fn find_or_install(&self) -> Result<String> {
        if let Ok(version) = self.version() {
            return Ok(version);
        }
        self.install()?;
        self.version()
    }

    fn version(&self) -> Result<String> {
        let answer = output(quiet(Command::new(self.name).arg("--version")))?;
        Ok(answer.lines().next().unwrap_or_default().trim().to_owned())
    }

    fn install(&self) -> Result<()> {
        install(self.package)
    }
}

/// Installs a Debian package.
///
/// # Errors
/// Where this process may not, or this is no Debian.
fn install(package: &str) -> Result<()> {
    if !is_root() || output(quiet(Command::new("apt-get").arg("--version"))).is_err() {
        return Err(format!("not installed; `apt-get install {package}` installs it").into());
    }
    println!("installing the Debian package {package}");
    run_program(&mut apt_get(&["update"]))?;
    run_program(&mut apt_get(&["install", "--yes", "--no-install-recommends", package]))
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(["--quiet", "--quiet", "--option", "DPkg::Lock::Timeout=120"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null());
    command
}

fn is_root() -> bool {
    output(quiet(Command::new("id").arg("--user"))).is_ok_and(|user| user.trim() == "0")
}

/// Without input and without complaints on the terminal: the answer is what counts.
fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stderr(Stdio::null())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_nowhere_is_an_error_that_says_how_to_get_it() {
        let program = Program { name: "no-such-program-here", package: "none", purpose: "a test" };
        assert!(program.version().unwrap_err().to_string().contains("no-such-program-here"));
    }
}
