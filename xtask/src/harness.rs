//! Starts the harness, in a release build. What its commands take is described there alone, and
//! passed on as it is.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::cargo::cargo;
use crate::{Result, Told};

/// A command of the harness. Its arguments, `--help` too, are the harness's own.
pub(crate) fn command(name: &'static str, about: &'static str) -> Command {
    let arguments = Arg::new("arguments")
        .value_name("ARGUMENTS")
        .help("What the harness takes; see --help")
        .action(ArgAction::Append)
        .num_args(0..)
        .trailing_var_arg(true)
        .allow_hyphen_values(true)
        .value_parser(value_parser!(OsString));
    Command::new(name).about(about).disable_help_flag(true).arg(arguments)
}

pub(crate) fn run(name: &str, matches: &ArgMatches) -> Result<()> {
    run_with(name, &[], matches)
}

/// The same with arguments that this program knows.
pub(crate) fn run_with(name: &str, known: &[OsString], matches: &ArgMatches) -> Result<()> {
    // Where this was called: a path among the arguments is relative to that.
    let mut command = cargo(
        &std::env::current_dir()?,
        &["run", "--release", "--quiet", "--package", "harness", "--", name],
    );
    command.args(known).args(matches.get_many::<OsString>("arguments").into_iter().flatten());
    let status = command.status().map_err(|error| format!("the harness did not start: {error}"))?;
    // It has said what it found.
    if status.success() { Ok(()) } else { Err(Told.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_is_passed_on() {
        let given = ["crash", "--rounds", "3", "--power-loss", "--help", "-h"];
        let matches = command("crash", "").try_get_matches_from(given).unwrap();
        let passed: Vec<&OsString> = matches.get_many("arguments").unwrap().collect();
        assert_eq!(passed, given[1..].iter().collect::<Vec<_>>());
    }

    #[test]
    fn no_argument_is_needed() {
        let matches = command("order", "").try_get_matches_from(["order"]).unwrap();
        assert_eq!(matches.get_many::<OsString>("arguments").into_iter().flatten().count(), 0);
    }
}
