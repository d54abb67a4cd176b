//! `ledger import FILE.csv`: posts the entries of a journal, each once.
//!
//! The file is read twice. The first time everything in it is checked, so that a broken file
//! changes nothing; the second time each entry is posted in a commit of its own, under an id that
//! is made of what the entry says. So it can be stopped at any moment, and run again.

use std::fs::File;
use std::io::{Read, Seek, Write};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use underlay::clap::{self, Arg, ArgMatches};
use underlay::words::Outcome;
use underlay::{App, CliCommand, CommitId, Engine, Error, ExecuteError, Exit, ExitError, Request, TenantId};

use crate::entry::EntryRefusal;
use crate::journal::{Journal, JournalEntry, JournalError};

/// The command.
#[derive(Clone, Copy, Debug)]
pub struct Import;

/// What an import came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Entries in the journal.
    pub entries: u64,
    /// Entries that were posted.
    pub new: u64,
    /// Entries that had been posted before.
    pub already_there: u64,
}

impl std::fmt::Display for Imported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { entries, new, already_there } = self;
        write!(f, "{entries} entries: {new} new, {already_there} already there")?;
        if *new == 0 { f.write_str(": nothing changed") } else { Ok(()) }
    }
}

/// Why an import ended early.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The journal is broken. Nothing was posted.
    #[error("{0}; nothing was imported")]
    Journal(#[from] JournalError),
    /// The journal was sound when it was checked, and is not now.
    #[error("{0}; the file changed while it was imported, {posted_before}", posted_before = .1.so_far())]
    Changed(JournalError, Imported),
    /// The ledger says no to an entry.
    #[error("line {line}: the entry is refused: {refusal}; {posted_before}", posted_before = .before.so_far())]
    Refused {
        /// Where the entry begins.
        line: u64,
        /// Why.
        refusal: EntryRefusal,
        /// What was done before.
        before: Imported,
    },
    /// The file cannot be read twice.
    #[error("the file cannot be read from its start again: {0}; nothing was imported")]
    Rewind(std::io::Error),
    /// The infrastructure failed.
    #[error("line {line}: {error}; {posted_before}", posted_before = .before.so_far())]
    Failed {
        /// Where the entry begins.
        line: u64,
        /// How.
        error: Error,
        /// What was done before.
        before: Imported,
    },
}

impl Imported {
    fn so_far(&self) -> String {
        format!(
            "before it {} entries were posted and {} already there; importing again goes on from here",
            self.new, self.already_there
        )
    }

    fn count(&mut self, posted: Posted) {
        self.entries += 1;
        match posted {
            Posted::New => self.new += 1,
            Posted::Before => self.already_there += 1,
        }
    }
}

impl From<ImportError> for ExitError {
    fn from(error: ImportError) -> Self {
        let message = error.to_string();
        let exit = match error {
            ImportError::Failed { error, .. } => ExitError::from(error).exit,
            _ => Exit::Invalid,
        };
        Self { exit, message }
    }
}

/// Posts the entries of a journal for a tenant, each once.
///
/// # Errors
/// [`ImportError`].
pub async fn import(
    engine: &Engine,
    tenant: &TenantId,
    mut file: impl Read + Seek + Send,
    progress: &ProgressBar,
) -> Result<Imported, ImportError> {
    let mut total = 0;
    for entry in Journal::new(&mut file)? {
        entry?;
        total += 1;
    }
    file.rewind().map_err(ImportError::Rewind)?;
    progress.set_length(total);
    let mut done = Imported::default();
    for entry in Journal::new(&mut file).map_err(|error| ImportError::Changed(error, done))? {
        let entry = entry.map_err(|error| ImportError::Changed(error, done))?;
        let line = entry.line;
        let posted = post(engine, tenant, entry).await.map_err(|error| match error {
            ExecuteError::Refused(refusal) => ImportError::Refused { line, refusal, before: done },
            ExecuteError::Ended(ended) => {
                ImportError::Failed { line, error: Error::invalid(ended.to_string()), before: done }
            }
            ExecuteError::Failed(error) => ImportError::Failed { line, error, before: done },
        })?;
        done.count(posted);
        progress.inc(1);
    }
    Ok(done)
}

enum Posted {
    New,
    Before,
}

/// Posts an entry, unless it was posted before.
///
/// An id that was refused is refused for ever, but the account may have been paid into since. So
/// an entry that was refused by an earlier import is tried again under the id of the next attempt.
async fn post(
    engine: &Engine,
    tenant: &TenantId,
    entry: JournalEntry,
) -> Result<Posted, ExecuteError<EntryRefusal>> {
    let mut attempt = 0;
    // Whether the answer to this attempt may be an old one.
    let mut tried_before = true;
    loop {
        let id = entry.identity.commit_id(tenant, attempt);
        if attempt > 0 {
            tried_before = engine.store().find_commit(tenant, id).await?.is_some();
        }
        let request = Request::new(tenant.clone()).with_command_id(id);
        match engine.operate(&request, entry.entry.clone()).await {
            Ok(executed) if executed.repeated => return Ok(Posted::Before),
            Ok(_) => return Ok(Posted::New),
            Err(_) if tried_before && was_refused(engine, tenant, id).await? => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Whether an id stands for a refusal, also where the store keeps no more of it than that.
async fn was_refused(engine: &Engine, tenant: &TenantId, id: CommitId) -> Result<bool, Error> {
    let found = engine.store().find_commit(tenant, id).await?;
    Ok(found.is_some_and(|found| matches!(found.committed.outcome, Outcome::Refused { .. })))
}

#[underlay::async_trait]
impl CliCommand for Import {
    fn command(&self) -> clap::Command {
        clap::Command::new("import")
            .about("Post the entries of a journal, each once; run it again when the journal has grown")
            .arg(
                Arg::new("file")
                    .required(true)
                    .value_name("FILE.csv")
                    .help("What `hledger print -O csv` wrote"),
            )
    }

    fn makes_store(&self) -> bool {
        true
    }

    fn check(&self, matches: &ArgMatches) -> Result<(), ExitError> {
        let (path, file) = open(matches)?;
        let begun = Journal::new(file).map(drop);
        begun.map_err(|error| in_file(&path, ImportError::from(error)))
    }

    async fn run(&self, app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
        let (path, file) = open(matches)?;
        let progress = if app.json { ProgressBar::hidden() } else { progress_bar() };
        let imported = import(&app.engine, &app.tenant, file, &progress).await;
        progress.finish_and_clear();
        let imported = imported.map_err(|error| in_file(&path, error))?;
        let mut out = std::io::stdout().lock();
        if app.json {
            serde_json::to_writer(&mut out, &imported)?;
            Ok(writeln!(out)?)
        } else {
            Ok(writeln!(out, "{imported}")?)
        }
    }
}

/// The journal that is named.
fn open(matches: &ArgMatches) -> Result<(String, File), ExitError> {
    let path = matches.get_one::<String>("file").cloned().unwrap_or_default();
    match File::open(&path) {
        Ok(file) => Ok((path, file)),
        Err(error) => Err(ExitError::invalid(format!("{path}: {error}"))),
    }
}

fn in_file(path: &str, error: ImportError) -> ExitError {
    let ExitError { exit, message } = error.into();
    ExitError { exit, message: format!("{path}: {message}") }
}

/// Shown on standard error, and only where a person looks at it.
fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos} of {len} entries, {eta} to go");
    let bar = ProgressBar::new(0);
    match style {
        Ok(style) => bar.with_style(style),
        // The plain bar tells the same.
        Err(_) => bar,
    }
}
