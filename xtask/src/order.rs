//! `cargo xtask order`: the harness runs many writers and readers, and compares what they saw.

use clap::{ArgMatches, Command};

use crate::{Result, harness};

pub(crate) fn command() -> Command {
    harness::command("order", "Runs many writers and readers at once, and compares what they saw")
}

pub(crate) fn run(matches: &ArgMatches) -> Result<()> {
    harness::run("order", matches)
}
