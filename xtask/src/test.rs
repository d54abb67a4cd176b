//! `cargo xtask test`: every test, with the real programs they need.
//!
//! Tests run under cargo-nextest where it is installed, under `cargo test` elsewhere; both run
//! everything, also after a failure. Doctests run first, so that the summary of the tests is the
//! last thing to be seen.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::thread;

use clap::{Arg, ArgMatches, Command};
use servers::{PGBOUNCER_VARIABLE, POSTGRES_NEWEST_VARIABLE, POSTGRES_VARIABLE};

use crate::cargo::{Watched, cargo, run_watched, target_directory};
use crate::{Result, Told, repository, services};

mod count;

pub(crate) use count::Count;

/// Where the ledger's tests find the program to run.
pub(crate) const LEDGER_VARIABLE: &str = "UNDERLAY_TEST_LEDGER";

/// Tests that another version says nothing new about: the pooler leads to the other server, TLS and silence
/// are of the connection, batches and known versions are of this program, and the model is long.
const NOT_ON_NEWEST: [&str; 6] =
    ["conformance::event_store_in_batches::", "model::", "pooler::", "silence::", "stream_heads::", "tls::"];

/// Tests that run at once for every two processors: some wait, for a server or a clock.
const AT_ONCE_OF_TWO: usize = 3;

/// Tests of one run that may pass at their second try only. The tests race threads, kill processes and start
/// servers; one on which a loaded machine comes down is named at the end, and is a defect of that test.
const FLAKY_MAX: u64 = 3;

/// What tests find servers and programs by.
type Environment = Vec<(&'static str, OsString)>;

pub(crate) fn command() -> Command {
    let filter =
        Arg::new("filter").long("filter").value_name("TEXT").help("Only tests with TEXT in their name");
    Command::new("test").about("Provides what the tests need and runs them all").arg(filter)
}

pub(crate) fn run(arguments: &ArgMatches) -> Result<()> {
    let filter = arguments.get_one::<String>("filter").map(String::as_str);
    let mut count = Count::default();
    let ended = all(&repository::root()?, filter, &mut count);
    if let Err(error) = &ended {
        eprintln!("xtask: {error}");
    }
    count.print();
    ended.map_err(|_| Told.into())
}

/// Runs every test whose name contains `filter`, and the doctests; adds them to `count`.
///
/// # Errors
/// Where a test failed, none ran, or something they need is missing and must be there.
pub(crate) fn all(root: &Path, filter: Option<&str>, count: &mut Count) -> Result<()> {
    let servers = services::provide()?;
    let ledger = build_everything(root)?;
    let mut environment: Environment =
        servers.environment().into_iter().map(|(name, value)| (name, value.into())).collect();
    environment.push((LEDGER_VARIABLE, ledger.into_os_string()));
    let documentation = run_libtest(root, &environment, &["--doc"], filter, count);
    let tests = if has_nextest(root) {
        run_nextest(root, &environment, filter, count)
    } else {
        run_libtest(root, &environment, &["--lib", "--bins", "--examples", "--tests"], filter, count)
    };
    let (newest, without_features) = match filter {
        None => (run_on_newest(root, &environment, count), run_without_features(root, count)),
        Some(_) => (Ok(()), Ok(())),
    };
    let flaky = if count.flaky() > FLAKY_MAX {
        Err(format!("{} tests passed at their second try only, and at most {FLAKY_MAX} may", count.flaky())
            .into())
    } else {
        Ok(())
    };
    let errors: Vec<String> = [documentation, tests, newest, without_features, flaky]
        .into_iter()
        .filter_map(Result::err)
        .map(|error| error.to_string())
        .collect();
    match (errors.is_empty(), count.passed()) {
        (false, _) => Err(errors.join("; ").into()),
        (true, 0) => Err("no test ran".into()),
        (true, _) => Ok(()),
    }
}

/// Builds every test, and gives the path of the ledger that is built beside them, with every feature: tests of
/// the whole program run that. It asserts more than the one a user runs, and costs no second build of everything.
pub(crate) fn build_everything(root: &Path) -> Result<PathBuf> {
    crate::cargo::run(&mut cargo(root, &["test", "--no-run", "--quiet", "--workspace", "--all-features"]))?;
    Ok(target_directory(root)?.join("debug").join("ledger"))
}

/// Builds the ledger as a user runs it, with every feature, to be measured. Gives its path.
pub(crate) fn build_release_ledger(root: &Path) -> Result<PathBuf> {
    let build = ["build", "--release", "--package", "ledger", "--all-features"];
    crate::cargo::run(&mut cargo(root, &build))?;
    Ok(target_directory(root)?.join("release").join("ledger"))
}

fn has_nextest(root: &Path) -> bool {
    let mut command = cargo(root, &["nextest", "--version"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// What the gate asks of nextest beside: who changes a test sees each failure of it, and the gate is not thrown away
/// for one.
fn retries() -> &'static [&'static str] {
    if std::env::var_os("CI").is_some() { &["--retries", "1"] } else { &[] }
}

fn run_nextest(
    root: &Path,
    environment: &Environment,
    filter: Option<&str>,
    count: &mut Count,
) -> Result<()> {
    let mut command = nextest(root);
    command.envs(environment.iter().cloned()).arg("--no-tests=pass").args(filter);
    run_watched(&mut command, Watched::Stderr, |line| count.add_nextest(line))
}

/// A run of what is chosen of all tests.
fn nextest(root: &Path) -> process::Command {
    let mut command =
        cargo(root, &["nextest", "run", "--workspace", "--all-features", "--no-fail-fast", "--test-threads"]);
    let processors = thread::available_parallelism().map_or(1, usize::from);
    command.arg((processors * AT_ONCE_OF_TWO).div_ceil(2).to_string()).args(retries());
    command
}

/// Runs the tests of the PostgreSQL store a second time, on the newest server. Where there is no such server
/// that was said before.
fn run_on_newest(root: &Path, environment: &Environment, count: &mut Count) -> Result<()> {
    let started = environment.iter().find(|(name, _)| *name == POSTGRES_NEWEST_VARIABLE);
    let started = started.map(|(_, address)| address.clone());
    let Some(newest) = started.or_else(|| std::env::var_os(POSTGRES_NEWEST_VARIABLE)) else { return Ok(()) };
    println!("\nthe tests of the PostgreSQL store, on the newest server");
    if has_nextest(root) {
        // Chosen from all, as all were built: nothing is built again.
        let filter =
            format!("package(underlay-postgres) & binary(it) & not test(/^({})/)", NOT_ON_NEWEST.join("|"));
        let mut command = nextest(root);
        command.args(["--filterset", &filter]);
        command.env(POSTGRES_VARIABLE, newest).env_remove(PGBOUNCER_VARIABLE);
        run_watched(&mut command, Watched::Stderr, |line| count.add_nextest(line))
    } else {
        let mut command =
            cargo(root, &["test", "--package", "underlay-postgres", "--test", "it", "--no-fail-fast", "--"]);
        command.args(NOT_ON_NEWEST.iter().flat_map(|part| ["--skip", part]));
        command.env(POSTGRES_VARIABLE, newest).env_remove(PGBOUNCER_VARIABLE);
        run_watched(&mut command, Watched::Stdout, |line| count.add_libtest(line))
    }
}

/// Runs the tests of what a build without features says, which the others cannot be.
fn run_without_features(root: &Path, count: &mut Count) -> Result<()> {
    for tests in [["underlay", "--test=it"], ["underlay-outbound", "--lib"]] {
        let [package, target] = tests;
        let mut command = cargo(root, &["test", "--package", package, target, "without_the_feature"]);
        run_watched(&mut command, Watched::Stdout, |line| count.add_libtest(line))?;
    }
    Ok(())
}

fn run_libtest(
    root: &Path,
    environment: &Environment,
    targets: &[&str],
    filter: Option<&str>,
    count: &mut Count,
) -> Result<()> {
    let mut command = cargo(root, &["test", "--workspace", "--all-features", "--no-fail-fast"]);
    command.envs(environment.iter().cloned()).args(targets).args(filter);
    run_watched(&mut command, Watched::Stdout, |line| count.add_libtest(line))
}
