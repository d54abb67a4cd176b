//! `cargo xtask lint`: raw database access stands in infrastructure, as `cargo underlay lint` sees it, and the list of exceptions in
//! the documentation is the one that is registered.

use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cargo::{cargo, run as run_program};
use crate::{Result, repository};

/// The page that has the list of exceptions.
const PAGE: &str = "docs/lint.md";

pub(crate) fn command() -> Command {
    let write = Arg::new("write").long("write").action(ArgAction::SetTrue);
    Command::new("lint")
        .about("Finds raw database access outside infrastructure, by `cargo underlay lint`")
        .arg(write.help("Writes the list of exceptions into the documentation"))
}

pub(crate) fn run(arguments: &ArgMatches) -> Result<()> {
    look(&repository::root()?, if arguments.get_flag("write") { "--write" } else { "--check" })
}

/// Looks through the repository.
///
/// # Errors
/// Where something is found, and where the documentation has another list of exceptions.
pub(crate) fn check(root: &Path) -> Result<()> {
    look(root, "--check")
}

fn look(root: &Path, page: &str) -> Result<()> {
    let lint = ["run", "--quiet", "--package", "cargo-underlay", "--", "underlay", "lint", page, PAGE];
    run_program(&mut cargo(root, &lint))
}
