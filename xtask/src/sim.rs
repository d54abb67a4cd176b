//! `cargo xtask sim`: the harness plays the whole engine in a simulation, with faults from a seed.

use clap::{ArgMatches, Command};

use crate::{Result, harness};

pub(crate) fn command() -> Command {
    harness::command(
        "sim",
        "Plays the whole engine in memory, with faults from a seed, and looks for what it promised",
    )
}

pub(crate) fn run(matches: &ArgMatches) -> Result<()> {
    harness::run("sim", matches)
}
