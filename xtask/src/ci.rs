//! `cargo xtask ci`: the whole gate, as continuous integration runs it.
//!
//! Every step runs, also after one that failed, so that one run tells everything. The end is a table
//! of the steps with the time each took, and how many tests ran.

use std::path::Path;
use std::time::Instant;

use clap::{ArgMatches, Command};

use crate::cargo::{cargo, run as run_program};
use crate::test::Count;
use crate::{Result, Told, api, console, contract, deny, lint, ops, package, repository, test, tidy};

pub(crate) fn command() -> Command {
    Command::new("ci").about(
        "The whole gate: format, tidy, lints, database access, tests, contract, ops, console, documentation, public API, dependencies, packages",
    )
}

pub(crate) fn run(_: &ArgMatches) -> Result<()> {
    let root = repository::root()?;
    let mut count = Count::default();
    let mut gate = Gate::default();
    gate.step("format", || run_program(&mut cargo(&root, &["fmt", "--all", "--check"])));
    gate.step("tidy", || tidy::check(&root));
    gate.step("lints", || lints(&root));
    gate.step("database access", || lint::check(&root));
    gate.step("tests", || test::all(&root, None, &mut count));
    gate.step("contract", || contract::check(&root));
    gate.step("ops", || ops::check(&root));
    gate.step("console", || console::check(&root));
    gate.step("documentation", || documentation(&root));
    gate.step("public API", || api::check(&root));
    gate.step("dependencies", || deny::check(&root));
    gate.step("packages", || package::check(&root));
    gate.print();
    count.print();
    gate.print_failures();
    if gate.failures.is_empty() { Ok(()) } else { Err(Told.into()) }
}

/// The steps that ran.
#[derive(Default)]
struct Gate {
    /// Name, seconds, and the word for how it ended.
    steps: Vec<(&'static str, f64, &'static str)>,
    /// What failed, and why.
    failures: Vec<String>,
}

impl Gate {
    fn step(&mut self, name: &'static str, step: impl FnOnce() -> Result<()>) {
        println!("\n== {name}");
        let start = Instant::now();
        let ended = step();
        let seconds = start.elapsed().as_secs_f64();
        if let Err(error) = &ended {
            let failure = format!("{name}: {error}");
            eprintln!("{failure}");
            self.failures.push(failure);
        }
        println!("{name}: {seconds:.0} s");
        self.steps.push((name, seconds, if ended.is_ok() { "ok" } else { "FAILED" }));
    }

    fn print(&self) {
        println!();
        for (name, seconds, word) in &self.steps {
            println!("  {name:<15}{seconds:>8.1} s  {word}");
        }
        let seconds: f64 = self.steps.iter().map(|(_, seconds, _)| seconds).sum();
        println!("  {:<15}{seconds:>8.1} s", "all");
    }

    /// The last lines: of a long log often the end alone is kept.
    fn print_failures(&self) {
        for failure in &self.failures {
            println!("FAILED {failure}");
        }
    }
}

/// Lints everything, and what a build without features leaves out.
fn lints(root: &Path) -> Result<()> {
    const REST: [&str; 5] = ["--all-targets", "--quiet", "--", "--deny", "warnings"];
    let everything = [&["clippy", "--workspace", "--all-features"], &REST[..]].concat();
    run_program(&mut cargo(root, &everything))?;
    let without_features = [&["clippy", "--package", "underlay", "--package", "ledger"], &REST[..]].concat();
    run_program(&mut cargo(root, &without_features))
}

fn documentation(root: &Path) -> Result<()> {
    let mut command = cargo(root, &["doc", "--workspace", "--all-features", "--no-deps", "--quiet"]);
    run_program(command.env("RUSTDOCFLAGS", "--deny warnings"))
}
