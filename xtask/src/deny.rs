//! `cargo xtask deny`: licences, sources, bans and known weaknesses of what is built, by cargo-deny.
//!
//! The program is built once from its source, in the version named here, into the target directory. One of
//! that version that is installed already is used instead. The database of weaknesses lies on the network:
//! where it cannot be fetched that part is skipped, and the reason is printed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ArgMatches;

use crate::cargo::{cargo, run as run_program, target_directory};
use crate::{Result, repository};

const VERSION: &str = "0.20.2";
/// What is checked without a network.
const OFFLINE: [&str; 3] = ["bans", "licenses", "sources"];

pub(crate) fn command() -> clap::Command {
    clap::Command::new("deny").about("Checks licences, sources and known weaknesses of the dependencies")
}

pub(crate) fn run(_: &ArgMatches) -> Result<()> {
    check(&repository::root()?)
}

/// Runs every check that can be run here.
///
/// # Errors
/// Where one of them finds something, or the program cannot be had.
pub(crate) fn check(root: &Path) -> Result<()> {
    let program = find_or_install(root)?;
    let deny = || {
        let mut command = Command::new(&program);
        command.current_dir(root).stdin(Stdio::null()).args(["--all-features", "--log-level", "error"]);
        command
    };
    run_program(deny().args(["check", "--hide-inclusion-graph"]).args(OFFLINE))?;
    let fetched = deny().args(["fetch", "db"]).stderr(Stdio::piped()).output()?;
    if !fetched.status.success() {
        let told = String::from_utf8_lossy(&fetched.stderr);
        println!("SKIP advisories: their database cannot be fetched: {}", reason(&told));
        return Ok(());
    }
    run_program(deny().args(["check", "--disable-fetch", "advisories"]))
}

/// The line of a complaint that says most: git's own, where there is one.
fn reason(told: &str) -> &str {
    let lines = || told.lines().map(str::trim).filter(|line| !line.is_empty());
    lines()
        .find(|line| line.starts_with("fatal:"))
        .or_else(|| lines().next())
        .unwrap_or("no reason was given")
}

fn find_or_install(root: &Path) -> Result<PathBuf> {
    let installed = PathBuf::from("cargo-deny");
    if is_right(&installed) {
        return Ok(installed);
    }
    let tools = target_directory(root)?.join("tools");
    let built = tools.join("bin").join("cargo-deny");
    if !is_right(&built) {
        println!("building cargo-deny {VERSION}");
        let mut install =
            cargo(root, &["install", "cargo-deny", "--version", VERSION, "--locked", "--quiet"]);
        // It runs for a second: a build that is not optimised costs less than it saves.
        install
            .args(["--debug", "--force", "--root"])
            .arg(&tools)
            .arg("--target-dir")
            .arg(tools.join("build"));
        run_program(install.env("CARGO_PROFILE_DEV_DEBUG", "none").env("CARGO_INCREMENTAL", "0"))?;
    }
    Ok(built)
}

fn is_right(program: &Path) -> bool {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    output.is_ok_and(|output| {
        let told = String::from_utf8_lossy(&output.stdout);
        told.trim().strip_prefix("cargo-deny ") == Some(VERSION)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_git_says() {
        let told = "[ERROR] failed to fetch\n\nfatal: unable to access the host\n";
        assert_eq!(reason(told), "fatal: unable to access the host");
        assert_eq!((reason("[ERROR] one\ntwo"), reason("")), ("[ERROR] one", "no reason was given"));
    }
}
