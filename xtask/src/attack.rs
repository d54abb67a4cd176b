//! `cargo xtask attack`: the harness tries every query and every table of a store with another
//! tenant's names and ids, as every role.

use clap::{ArgMatches, Command};

use crate::{Result, harness};

pub(crate) fn command() -> Command {
    harness::command("attack", "Tries to reach one tenant's data as another, as every role")
}

pub(crate) fn run(matches: &ArgMatches) -> Result<()> {
    harness::run("attack", matches)
}
