//! `cargo xtask bench`: the benchmarks of the harness, or the comparison with others, in a release build.

use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cargo::{cargo, run as run_program};
use crate::test::build_release_ledger;
use crate::{Result, peers, repository};

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
        .arg(Arg::new("only").long("only").value_name("NAME").help(
            "Only one part: commits, loads, catch-up, view, neighbour, indexes, feed, front-door, scheduler, cache, entities, size, placement, work-drain, work-commands, \
             work-latency, work-cost, work-turns; with --peers one of its parts, or one peer beside ours: cqrs-es, \
             disintegrate, mire, umadb, insert, unnest",
        ))
        .arg(
            Arg::new("store")
                .long("store")
                .value_parser(["sqlite", "postgres"])
                .conflicts_with("peers")
                .help("Which store; sqlite where none is named. On postgres the parts are commits, catch-up, view, neighbour, log-head, stream-heads, work-horizon, and those that begin with work"),
        )
        .arg(
            Arg::new("pinned")
                .long("pinned")
                .value_name("SECONDS")
                .conflicts_with("peers")
                .help("How long work-horizon keeps dead rows from being cleaned away; 600 where it is not said, and 30 with --quick"),
        )
        .arg(
            Arg::new("peers")
                .long("peers")
                .action(ArgAction::SetTrue)
                .help("Measures event stores of others beside ours, on one PostgreSQL server"),
        )
}

pub(crate) fn run(matches: &ArgMatches) -> Result<()> {
    let root = repository::root()?;
    let arguments = passed_on(matches)?;
    if matches.get_flag("peers") {
        return peers::run(&root, &arguments);
    }
    let ledger = build_release_ledger(&root)?;
    let mut command = cargo(&root, &["run", "--release", "--quiet", "--package", "harness", "--", "bench"]);
    run_program(command.args(arguments).arg("--ledger").arg(ledger))
}

/// What the program that measures is told.
fn passed_on(matches: &ArgMatches) -> Result<Vec<OsString>> {
    let mut arguments = Vec::new();
    if let Some(file) = matches.get_one::<String>("json") {
        // The harness runs in the root, wherever this was called.
        arguments.extend(["--json".into(), std::path::absolute(Path::new(file))?.into_os_string()]);
    }
    if matches.get_flag("quick") {
        arguments.push("--quick".into());
    }
    for option in ["only", "store", "pinned"] {
        if let Some(value) = matches.get_one::<String>(option) {
            arguments.extend([format!("--{option}").into(), value.into()]);
        }
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_passed_on_with_the_whole_path_of_the_file() {
        let given = ["bench", "--peers", "--json", "out.json", "--quick", "--only", "mire"];
        let matches = command().try_get_matches_from(given).unwrap();
        let passed = passed_on(&matches).unwrap();
        assert_eq!(passed[0], "--json");
        assert!(Path::new(&passed[1]).is_absolute() && Path::new(&passed[1]).ends_with("out.json"));
        assert_eq!(passed[2..], ["--quick", "--only", "mire"]);
        let matches =
            command().try_get_matches_from(["bench", "--store", "postgres", "--pinned", "60"]).unwrap();
        assert_eq!(passed_on(&matches).unwrap(), ["--store", "postgres", "--pinned", "60"]);
    }
}
