//! `harness faults`: what can go wrong between a service and the servers of its stores, done to real ones.
//!
//! Each fault has a server of its own. Callers work at stores by their ports, and with PostgreSQL at processes of the
//! ledger over HTTP too, and note what they are told; afterwards it is held against what is stored.

mod callers;
mod disk;
mod entities;
mod entrance;
mod fault;
mod mongodb;
mod postgres;
mod progress;
mod redis;
mod report;
mod resumption;
pub(crate) mod serving;
mod told;
mod wire;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use servers::Missing;

use self::fault::{Fault, Means};
use self::report::{Line, Measured, Report};
use self::serving::Ledger;
use crate::run_folder::RunFolder;
use crate::{Result, terminal};

/// Whose faults they are; each starts a server of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stood {
    /// The log and everything else, with the ledger before it.
    Postgres,
    /// Entities.
    Mongodb,
    /// Entities and a cache.
    Redis,
}

impl Stood {
    fn faults(self) -> &'static [Fault] {
        match self {
            Self::Postgres => postgres::FAULTS,
            Self::Mongodb => mongodb::FAULTS,
            Self::Redis => redis::FAULTS,
        }
    }

    /// What is missing here, where it is known before a fault begins.
    fn missing(self) -> Option<Missing> {
        match self {
            Self::Postgres => {
                servers::postgres_program("postgres").err().map(|reason| Missing::new("postgres", reason))
            }
            // Their faults say so.
            Self::Mongodb | Self::Redis => None,
        }
    }
}

/// Does to real servers what goes wrong in operation, and measures what comes of it.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Only the faults of this server; all where none is named.
    #[arg(long, value_enum)]
    store: Option<Stood>,
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
    let chosen = chosen(arguments.store, &arguments.only)?;
    if let Some(seconds) = arguments.resume_seconds_max {
        resumption::allow_resume(Duration::from_secs(seconds));
    }
    let folder = RunFolder::new(arguments.directory.as_deref(), "faults")?;
    // A copy: another build must not change the program under the run.
    let program = folder.path().join("ledger");
    std::fs::copy(&arguments.ledger, &program)
        .map_err(|error| format!("{}: {error}", arguments.ledger.display()))?;
    let means =
        Means { ledger: Ledger::new(program), directory: folder.path().to_owned(), quick: arguments.quick };
    let mut report = Report { kept: true, lines: Vec::new() };
    for (store, fault) in chosen {
        if !arguments.json {
            terminal::print(&format!("       {} …", fault.name))?;
        }
        let began = Instant::now();
        let measured = match store.missing() {
            Some(missing) => Measured::missing(&missing),
            None => (fault.run)(&means).await.unwrap_or_else(|error| match error.downcast::<Missing>() {
                Ok(missing) => Measured::missing(&missing),
                Err(error) => Measured::broken(format!("it could not be measured: {error}")),
            }),
        };
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

fn chosen(store: Option<Stood>, only: &[String]) -> Result<Vec<(Stood, &'static Fault)>> {
    let meant = Stood::value_variants().iter().filter(|known| store.is_none_or(|store| store == **known));
    let faults: Vec<(Stood, &Fault)> =
        meant.flat_map(|store| store.faults().iter().map(|fault| (*store, fault))).collect();
    let names: Vec<&str> = faults.iter().map(|(_, fault)| fault.name).collect();
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(format!("there is no fault {unknown:?}; there are: {}", names.join(", ")).into());
    }
    let is_meant = |fault: &Fault| only.is_empty() || only.iter().any(|name| name == fault.name);
    Ok(faults.into_iter().filter(|(_, fault)| is_meant(fault)).collect())
}
