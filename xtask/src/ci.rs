//! `cargo xtask ci`: the whole gate, as continuous integration runs it.
//!
//! Every step runs, also after one that failed, so that one run tells everything. The end is a table
//! of the steps with the time each took.

use std::path::Path;
use std::time::Instant;

use clap::{ArgMatches, Command};

use crate::cargo::cargo;
use crate::{Result, repository, test, tidy};

pub(crate) fn command() -> Command {
    Command::new("ci").about("The whole gate: format, tidy, lints, tests, documentation")
}

type Step = (&'static str, fn(&Path) -> Result<()>);

const STEPS: &[Step] = &[
    ("format", |root| crate::cargo::run(&mut cargo(root, &["fmt", "--all", "--check"]))),
    ("tidy", tidy::check),
    ("lints", lints),
    ("tests", |root| test::all(root, None)),
    ("documentation", documentation),
];

pub(crate) fn run(_: &ArgMatches) -> Result<()> {
    let root = repository::root()?;
    let start = Instant::now();
    let mut table = String::new();
    let mut failed = Vec::new();
    for (name, step) in STEPS {
        println!("\n== {name}");
        let step_start = Instant::now();
        let ended = step(&root);
        let seconds = step_start.elapsed().as_secs_f64();
        let word = if ended.is_ok() { "ok" } else { "FAILED" };
        table += &format!("  {name:<15}{seconds:>8.1} s  {word}\n");
        if let Err(error) = ended {
            eprintln!("{name}: {error}");
            failed.push(*name);
        }
    }
    println!("\n{table}  {:<15}{:>8.1} s", "all", start.elapsed().as_secs_f64());
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", ")).into()) }
}

fn lints(root: &Path) -> Result<()> {
    crate::cargo::run(&mut cargo(
        root,
        &["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"],
    ))
}

fn documentation(root: &Path) -> Result<()> {
    let mut command = cargo(root, &["doc", "--workspace", "--no-deps", "--quiet"]);
    crate::cargo::run(command.env("RUSTDOCFLAGS", "--deny warnings"))
}
