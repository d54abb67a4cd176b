//! `cargo underlay lint`: raw database access stands in the infrastructure of a service, and nowhere else.
//!
//! ```text
//!  cargo metadata ─► every file parsed, modules followed ─► names ─► search by the rules ─┐
//!  underlay-lint.toml ─► infrastructure, composition, exceptions ────────────────────────┴► verdict ─► text or JSON, the page
//! ```
//!
//! It reads code and runs none. It finds what a colleague writes in good faith, not what somebody hides: a name that a procedural
//! macro makes, or a query that is put together letter by letter, is not found.
//!
//! **Tests** are looked through with the same rules but for three: a test may open a store of its own, look at every tenant in it,
//! and name the address of a server. It may not reach a database beside Underlay, since it would hold on to tables that are not
//! its own. Tests that have to are registered, like all else that has to.

mod databases;
mod dependencies;
mod names;
mod page;
mod rule;
mod search;
mod settings;
mod sql;
mod today;
mod verdict;
mod workspace;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use jiff::civil::Date;
use serde_json::json;

use crate::Failure;
use names::World;
use rule::Finding;
use settings::{Settings, parse_day};
use workspace::Workspace;

pub(crate) fn command() -> Command {
    let path = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).value_parser(value_parser!(PathBuf)).help(help)
    };
    Command::new("lint")
        .about("Find raw database access outside what underlay-lint.toml registers as infrastructure")
        .arg(path("write", "PAGE", "Write the list of exceptions into this page of the documentation"))
        .arg(
            path("check", "PAGE", "Fail where the list of exceptions in this page is another")
                .conflicts_with("write"),
        )
        .arg(path("config", "FILE", "Take this file in place of underlay-lint.toml in the workspace"))
        .arg(
            Arg::new("today")
                .long("today")
                .value_name("DAY")
                .value_parser(|text: &str| parse_day(text).ok_or("write the day as 2026-03-31"))
                .help("Judge the exceptions as on this day, in place of the present one"),
        )
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print the findings as JSON"))
        .after_help(
            "Exit codes: 0 nothing is found; 1 something is; 2 a file is wrong, and nothing was judged.",
        )
}

/// The stack for code that is nested deeply, such as a long chain of calls.
const STACK_BYTES: usize = 256 << 20;

/// Looks through the workspace around the current folder.
///
/// # Errors
/// Where something is found, after it was printed; and where a file is wrong.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let failed = |error: &str| Failure::wrong(format!("the lint did not run: {error}"));
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let running =
            thread.spawn_scoped(scope, || look(matches)).map_err(|error| failed(&error.to_string()))?;
        running.join().unwrap_or_else(|_| Err(failed("it panicked, as said above")))
    })
}

fn look(matches: &ArgMatches) -> Result<(), Failure> {
    let here = std::env::current_dir()
        .map_err(|error| Failure::wrong(format!("the current folder cannot be read: {error}")))?;
    let workspace = Workspace::around(&here)?;
    let given = |name: &str| matches.get_one::<PathBuf>(name).map(|path| here.join(path));
    let settings = Settings::read(&workspace, given("config").as_deref())?;
    let mut world = World::read(&workspace, &settings.databases);
    world.wrong.extend(verdict::unmatched(&world, &settings));
    if !world.wrong.is_empty() {
        return Err(Failure::wrong(world.wrong.join("\n")));
    }
    let found = search::search(&mut world);
    let today = matches.get_one::<Date>("today").copied().unwrap_or_else(today::today);
    let mut findings = verdict::verdict(&workspace, &world, found, &settings, today);
    if let Some(page) = given("write") {
        page::write(&page, &settings)?;
    }
    if let Some(page) = given("check") {
        findings.extend(page::compare(&page, workspace.relative(&page), &settings)?);
    }
    let printed =
        if matches.get_flag("json") { print_json(&findings) } else { print(&findings, world.files.len()) };
    printed.map_err(|error| Failure::wrong(format!("what was found cannot be printed: {error}")))?;
    match findings.len() {
        0 => Ok(()),
        1 => Err(Failure::failed("1 place breaks the rules".to_owned())),
        count => Err(Failure::failed(format!("{count} places break the rules"))),
    }
}

fn print(findings: &[Finding], files: usize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for finding in findings {
        writeln!(out, "{finding}")?;
    }
    if findings.is_empty() {
        writeln!(out, "nothing is found in {files} files")?;
    }
    out.flush()
}

fn print_json(findings: &[Finding]) -> io::Result<()> {
    let findings = findings.iter().map(|Finding { file, line, column, rule, what }| {
        json!({
            "file": file, "line": line, "column": column, "rule": rule.name(), "what": what, "instead": rule.instead(),
        })
    });
    let mut out = io::stdout().lock();
    writeln!(out, "{:#}", json!({ "findings": findings.collect::<Vec<_>>() }))?;
    out.flush()
}
