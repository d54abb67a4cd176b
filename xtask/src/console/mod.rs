//! `cargo xtask console`: a browser visits every page of the ledger's console, and the page of its API.
//!
//! ```text
//!  an empty ledger ─► its pages
//!  first pages ─► visited, light and dark, narrow and wide ─► what they lead to ─► visited …
//!                    │
//!                    └─ axe-core finds nothing, no script fails, no policy is broken, nothing is wider than the screen,
//!                       and the tab key comes to every control
//! ```
//!
//! Then a person without a mouse signs in to a ledger with tokens, and gives a command by a form, also where scripts are
//! off. What the pages look like is kept in `console` of the target directory.
//!
//! The ledger is the one that `UNDERLAY_TEST_LEDGER` names, as for its tests; where it names none, it is built. Where
//! there is no browser, that is said with the reason; with `REQUIRE_SERVERS=1` it is a failure.

mod browser;
mod data;
mod keyboard;
mod visit;

use std::fs;
use std::path::Path;

use clap::ArgMatches;
use servers::{Missing, axe_core, chromium_program, is_required};
use tempfile::TempDir;

use self::browser::Browser;
use self::visit::Visit;
use crate::cargo::{output, target_directory};
use crate::ledger::Ledger;
use crate::{Result, ledger, repository};

/// What a ledger reads where it is started: its requests are not of interest.
const SETTINGS: &str = "[server]\naccess_log = false\n";

pub(crate) fn command() -> clap::Command {
    clap::Command::new("console").about("Visits every page of the ledger's console in a browser")
}

pub(crate) fn run(_: &ArgMatches) -> Result<()> {
    check(&repository::root()?)
}

/// Visits every page, and signs in.
///
/// # Errors
/// What is wrong with a page, or that the browser cannot be had and must be there.
pub(crate) fn check(root: &Path) -> Result<()> {
    let (program, axe) = match chromium_program().and_then(|program| Ok((program, axe_core()?))) {
        Ok(tools) => tools,
        Err(reason) => {
            let missing = Missing::new("Chromium with axe-core", reason);
            if is_required() {
                return Err(missing.skip_line().into());
            }
            println!("{}", missing.skip_line());
            return Ok(());
        }
    };
    let ledger = ledger::program(root)?;
    let pictures = target_directory(root)?.join("console");
    if pictures.exists() {
        fs::remove_dir_all(&pictures)?;
    }
    fs::create_dir_all(&pictures)?;
    let folder = TempDir::new()?;
    fs::write(folder.path().join("ledger.toml"), SETTINGS)?;
    let mut wrong = Vec::new();

    let open = Ledger::start(&ledger, &folder, &[])?;
    let mut browser = Browser::start(&program)?;
    let mut visit = Visit::new(&mut browser, open.address(), &axe, &pictures);
    visit.empty()?;
    data::fill(open.address())?;
    visit.problems()?;
    visit.all()?;
    println!("{} pages of an open ledger", visit.visited());
    wrong.append(&mut visit.wrong);
    wrong.extend(keyboard::give_command(&mut browser, open.address())?);
    drop(open);

    let tokens = folder.path().join("tokens").display().to_string();
    let mut new_token = std::process::Command::new(&ledger);
    new_token.current_dir(&folder).args(["token", "new", "--tenant", "main", "--actor", "ann"]);
    new_token.args(["--tokens", &tokens, "--role", "operator", "--role", "log-reader"]);
    let token = output(&mut new_token)?;
    let closed = Ledger::start(&ledger, &folder, &["--tokens", &tokens])?;
    let mut visit = Visit::new(&mut browser, closed.address(), &axe, &pictures);
    visit.one("/console/sign-in")?;
    wrong.append(&mut visit.wrong);
    wrong.extend(keyboard::sign_in(&mut browser, closed.address(), token.trim())?);

    wrong.iter().for_each(|wrong| println!("{wrong}"));
    match wrong.len() {
        0 => Ok(()),
        count => {
            Err(format!("{count} things are wrong with the pages; they are in {}", pictures.display()).into())
        }
    }
}
