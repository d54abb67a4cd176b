//! `cargo xtask crash`: the harness kills a process again and again, and looks for what it promised.

use clap::{ArgMatches, Command};

use crate::{Result, harness};

pub(crate) fn command() -> Command {
    harness::command("crash", "Kills a process at any moment, and looks for what it promised")
}

pub(crate) fn run(matches: &ArgMatches) -> Result<()> {
    harness::run("crash", matches)
}
