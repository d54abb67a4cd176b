//! `harness order`: many writers and many readers at once, and a comparison of what they were told
//! and saw with the log as it is at the end.
//!
//! Where a store can be shared some of both are [processes] of their own, which are killed and started
//! again while the others go on. On PostgreSQL there is [trouble] besides. Afterwards a [crowd] of
//! tenants shows whether each gets its share. Everybody keeps a
//! [`journal`](crate::journal); the [`audit`](mod@audit) reads them. Then [work](crate::work) flows through a store of
//! its own, while the processes that do it suffer: [`work`].
//! With `--compare` the audit is shown to find what it looks for: [mistakes] makes them on purpose.

mod attack;
mod audit;
mod crowd;
mod evidence;
mod mistakes;
mod moves;
mod processes;
mod reader;
mod report;
mod trouble;
mod work;
mod writer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use self::attack::attack;
use self::audit::audit;
use self::evidence::Feed;
use self::report::{Report, Row};
use crate::Result;
use crate::dice::Dice;
use crate::run_folder::{self, RunFolder};
use crate::subject::{self, Address, StoreKind, Subject};

/// The stores that can be attacked.
const STORES: &[StoreKind] = &[StoreKind::Sqlite, StoreKind::Postgres, StoreKind::Memory];

/// Attacks the order of the log: many writers, many readers, kills.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// How long writers write.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The store that is attacked.
    #[arg(long, default_value_t = StoreKind::Sqlite, value_parser = StoreKind::among(STORES))]
    store: StoreKind,
    /// Also runs readers and writers with the classic mistakes, and fails where they are not found.
    #[arg(long)]
    compare: bool,
    /// The seed of everything that is drawn.
    #[arg(long)]
    seed: Option<u64>,
    /// A reader without progress for longer fails the run.
    #[arg(long, default_value_t = 5_000)]
    stall_millis_max: u64,
    /// Where the files are made; a temporary directory where it is left out.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// The process `order-writer`.
#[derive(Args, Debug)]
pub(crate) struct WriterArguments {
    #[arg(long)]
    database: Address,
    #[arg(long)]
    journal: PathBuf,
    #[arg(long)]
    writers: usize,
    #[arg(long)]
    seed: u64,
}

/// The process `order-reader`.
#[derive(Args, Debug)]
pub(crate) struct ReaderArguments {
    #[arg(long)]
    database: Address,
    #[arg(long)]
    journal: PathBuf,
    #[arg(long, value_enum)]
    feed: Feed,
    /// How long it waits for a hint before it looks for itself.
    #[arg(long)]
    poll_millis: u64,
    #[arg(long)]
    seed: u64,
}

/// Runs writers until they are told to finish, or killed.
pub(crate) async fn run_writer(arguments: WriterArguments) -> Result<()> {
    let WriterArguments { database, journal, writers, seed } = arguments;
    writer::run_child(&database, &journal, writers, seed).await
}

/// Runs a reader until it is told to finish, or killed.
pub(crate) async fn run_reader(arguments: ReaderArguments) -> Result<()> {
    let ReaderArguments { database, journal, feed, poll_millis, seed } = arguments;
    reader::run_child(&database, &journal, feed, Duration::from_millis(poll_millis), seed).await
}

/// Runs the attack; true where nothing was found that should not be.
pub(crate) async fn run(arguments: Arguments) -> Result<bool> {
    let folder = RunFolder::new(arguments.directory.as_deref(), "order")?;
    let subject = match arguments.store.find(folder.path()) {
        Ok(subject) => subject,
        Err(missing) => return subject::skip(&missing),
    };
    let report = attack_and_compare(&arguments, &*subject, folder.path()).await;
    let good = report.as_ref().is_ok_and(Report::is_good);
    if let Ok(report) = &report {
        report.print(arguments.json)?;
    }
    folder.leave(good)?;
    report.map(|_| good)
}

async fn attack_and_compare(
    arguments: &Arguments,
    subject: &dyn Subject,
    directory: &Path,
) -> Result<Report> {
    let seed = run_folder::seed(arguments.seed);
    let mut dice = Dice::new(seed);
    let mut report = Report::new(seed, Duration::from_millis(arguments.stall_millis_max));
    let lasts = Duration::from_secs(arguments.seconds);
    let mut attacked = attack(subject, directory, lasts, &mut dice).await?;
    attacked.evidence.crowd = crowd::gather(subject).await?;
    let name = format!("underlay, {}", subject.kind());
    report.add(Row::ours(&name, audit(&attacked.evidence), attacked.tally));
    drop(attacked.evidence);
    if let Some((found, tally)) = work::attack(subject, directory, lasts, &mut dice).await? {
        report.add(Row::work(&format!("{name}, work"), &found, tally));
    }
    if arguments.compare {
        for mistake in mistakes::make_all(subject, directory, &mut dice).await? {
            report.add(Row::mistake(mistake.name, mistake.consequence, audit(&mistake.evidence)));
        }
    }
    Ok(report)
}
