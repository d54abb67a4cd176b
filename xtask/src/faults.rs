//! `cargo xtask faults`: the harness does to real servers of PostgreSQL, MongoDB and Redis what goes wrong in operation.

use clap::{ArgMatches, Command};

use crate::{Result, harness, repository, test};

pub(crate) fn command() -> Command {
    harness::command(
        "faults",
        "Restarts, fills, cuts off and restores real servers, and measures what comes of it",
    )
}

pub(crate) fn run(matches: &ArgMatches) -> Result<()> {
    let ledger = test::build_release_ledger(&repository::root()?)?;
    harness::run_with("faults", &["--ledger".into(), ledger.into()], matches)
}
