//! `cargo xtask contract`: schemathesis tries the API of the ledger as `/openapi.json` describes it.
//!
//! It sends what fits the description and what does not, each by itself and then along the links from one answer to the
//! next request, to a ledger that lets everybody in and to one with tokens. No answer is a failure of the service, every
//! answer is described, and nothing is done that was asked for in another way than is described. It runs with fixed choices, so a run that failed fails again.
//!
//! The ledger is the one that `UNDERLAY_TEST_LEDGER` names, as for its tests; where it names none, it is built.
//!
//! The tool is installed from PyPI into the target directory, in one version. Where it cannot be had, that is said with
//! the reason; with `REQUIRE_SERVERS=1` it is a failure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ArgMatches;
use servers::{Missing, is_required};
use tempfile::TempDir;

use crate::cargo::{output, run as run_program, target_directory};
use crate::ledger::Ledger;
use crate::{Result, ledger, repository};

/// The version of the tool. Another one finds other things.
const VERSION: &str = "4.32.5";
/// What the tool is told. A rule of the domain cannot be said in a schema, so what fits may still be refused or be told
/// what is wrong with it; and a query that waits for what is not there yet is told to come back. A command that is
/// deleted is cancelled, and is there to say so.
const SETTINGS: &str = r#"
continue-on-failure = true
request-timeout = 20.0

[generation]
max-examples = 20
deterministic = true

[phases.stateful]
max-steps = 6

[phases.stateful.generation]
max-examples = 30

[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503"]

[checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "401", "403", "404", "409", "410", "412", "422", "428", "503"]

[[operations]]
include-path = "/v1/commands/{id}"

[operations.checks.use_after_free]
enabled = false
"#;
/// The roles of whoever tries the ledger with tokens.
const ROLES: [&str; 4] = ["operator", "log-reader", "members", "payments"];
/// A wait that ends soon ends the trial of it soon.
const SOON: [&str; 2] = ["--server-wait-max", "1s"];

pub(crate) fn command() -> clap::Command {
    clap::Command::new("contract").about("Tries the API of the ledger as its own description has it")
}

pub(crate) fn run(_: &ArgMatches) -> Result<()> {
    check(&repository::root()?)
}

/// Tries the API of the ledger, open and with tokens.
///
/// # Errors
/// Where an answer is not as described, or the tool cannot be had and must be there.
pub(crate) fn check(root: &Path) -> Result<()> {
    let tool = match install(root) {
        Ok(tool) => tool,
        Err(reason) => {
            let missing = Missing::new("schemathesis", reason);
            if is_required() {
                return Err(missing.skip_line().into());
            }
            println!("{}", missing.skip_line());
            return Ok(());
        }
    };
    let ledger = ledger::program(root)?;
    let folder = TempDir::new()?;
    let settings = folder.path().join("schemathesis.toml");
    fs::write(&settings, SETTINGS)?;
    println!("\nan open ledger");
    try_with(&Ledger::start(&ledger, &folder, &SOON)?, &tool, &settings, None)?;
    let tokens = folder.path().join("tokens").display().to_string();
    let mut new_token = Command::new(&ledger);
    new_token.current_dir(&folder).args(["token", "new", "--tenant", "main", "--actor", "contract"]);
    new_token.args(["--tokens", &tokens]).args(ROLES.iter().flat_map(|role| ["--role", role]));
    let token = output(&mut new_token)?;
    println!("\na ledger with tokens");
    let options = [&["--tokens", &tokens], &SOON[..]].concat();
    try_with(&Ledger::start(&ledger, &folder, &options)?, &tool, &settings, Some(token.trim()))
}

/// The tool, in an environment of its own.
fn install(root: &Path) -> servers::Result<PathBuf> {
    let place = target_directory(root)?.join("tools").join("contract");
    let tool = place.join("bin").join("st");
    let is_there = output(Command::new(&tool).arg("--version")).is_ok_and(|told| told.contains(VERSION));
    if !is_there {
        output(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
        let package = format!("schemathesis=={VERSION}");
        output(Command::new(place.join("bin").join("pip")).args(["install", "--quiet", &package]))?;
    }
    Ok(tool)
}

/// Lets the tool try a ledger.
fn try_with(ledger: &Ledger, tool: &Path, settings: &Path, token: Option<&str>) -> Result<()> {
    let mut command = Command::new(tool);
    command.arg("--config-file").arg(settings).arg("run");
    command.arg(format!("{}/openapi.json", ledger.address())).env("NO_COLOR", "1");
    if let Some(token) = token {
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    run_program(&mut command).map_err(|_| "the ledger does not answer as it is described".into())
}
