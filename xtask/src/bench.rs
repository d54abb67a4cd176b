//! `cargo xtask bench`: the benchmarks of the harness, in a release build.

use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cargo::{cargo, run as run_program};
use crate::{Result, repository};

pub(crate) fn command() -> Command {
    Command::new("bench")
        .about("Measures the store and the engine, each figure beside a baseline")
        .arg(Arg::new("json").long("json").value_name("FILE").help("Write every figure to a file, as JSON"))
        .arg(
            Arg::new("quick")
                .long("quick")
                .action(ArgAction::SetTrue)
                .help("Smaller logs and fewer, shorter runs: a smoke test, not a measurement"),
        )
        .arg(
            Arg::new("only")
                .long("only")
                .value_name("NAME")
                .help("Only one part: commits, loads, catch-up, view, memory, indexes"),
        )
}

pub(crate) fn run(matches: &ArgMatches) -> Result<()> {
    let root = repository::root()?;
    let mut command = cargo(&root, &["run", "--release", "--quiet", "--package", "harness", "--", "bench"]);
    if let Some(file) = matches.get_one::<String>("json") {
        // The harness runs in the root, wherever this was called.
        command.arg("--json").arg(std::path::absolute(Path::new(file))?);
    }
    if matches.get_flag("quick") {
        command.arg("--quick");
    }
    if let Some(part) = matches.get_one::<String>("only") {
        command.args(["--only", part]);
    }
    run_program(&mut command)
}
