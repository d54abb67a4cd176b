//! `harness faults`: what can go wrong between a service and its PostgreSQL server, done to real ones.
//!
//! Each fault has a server of its own. Callers work at stores by their ports and at processes of the
//! ledger over HTTP, and note what they are told; afterwards it is held against the log.

mod callers;
mod postgres;
mod report;
pub(crate) mod serving;
mod told;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use self::postgres::{FAULTS, Fault, Means};
use self::report::{Line, Measured, Report};
use self::serving::Ledger;
use crate::run_folder::RunFolder;
use crate::subject::{self, StoreKind};
use crate::{Result, terminal};

/// The stores that have servers; each fault starts its own.
const STORES: &[StoreKind] = &[StoreKind::Postgres];

/// Does to real servers what goes wrong in operation, and measures what comes of it.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The store that is meant.
    #[arg(long, default_value_t = StoreKind::Postgres, value_parser = StoreKind::among(STORES))]
    store: StoreKind,
    /// Only these faults, by name.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Takes less time: shorter loads and waits.
    #[arg(long)]
    quick: bool,
    /// How soon everything goes on, at the latest; 5 s are promised, and a busy machine may need more.
    #[arg(long)]
    resume_seconds_max: Option<u64>,
    /// The program of the ledger, built with the feature `postgres`; `cargo xtask faults` builds it.
    #[arg(long)]
    ledger: PathBuf,
    /// Where the files are made; a temporary directory where it is left out.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Does the faults; true where every promise was kept.
pub(crate) async fn run(arguments: Arguments) -> Result<bool> {
    if let Err(missing) = arguments.store.start(&arguments.directory.clone().unwrap_or_default()) {
        return subject::skip(&missing);
    }
    let chosen = chosen(&arguments.only)?;
    if let Some(seconds) = arguments.resume_seconds_max {
        postgres::allow_resume(Duration::from_secs(seconds));
    }
    let folder = RunFolder::new(arguments.directory.as_deref(), "faults")?;
    // A copy: another build must not change the program under the run.
    let program = folder.path().join("ledger");
    std::fs::copy(&arguments.ledger, &program)
        .map_err(|error| format!("{}: {error}", arguments.ledger.display()))?;
    let means =
        Means { ledger: Ledger::new(program), directory: folder.path().to_owned(), quick: arguments.quick };
    let mut report = Report { kept: true, lines: Vec::new() };
    for fault in chosen {
        if !arguments.json {
            terminal::print(&format!("       {} …", fault.name))?;
        }
        let began = Instant::now();
        let measured = (fault.run)(&means).await.unwrap_or_else(|error| Measured {
            broken: vec![format!("it could not be measured: {error}")],
            ..Measured::default()
        });
        let kept = measured.broken.is_empty();
        report.kept &= kept;
        let seconds = began.elapsed().as_secs_f64();
        let line = Line { name: fault.name, promised: fault.promised, seconds, measured, kept };
        if !arguments.json {
            line.print()?;
        }
        report.lines.push(line);
    }
    report.print(arguments.json)?;
    folder.leave(report.kept)?;
    Ok(report.kept)
}

fn chosen(only: &[String]) -> Result<Vec<&'static Fault>> {
    let names: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(format!("there is no fault {unknown:?}; there are: {}", names.join(", ")).into());
    }
    let is_meant = |fault: &&Fault| only.is_empty() || only.iter().any(|name| name == fault.name);
    Ok(FAULTS.iter().filter(is_meant).collect())
}
