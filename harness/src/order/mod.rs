//! `harness order`: many writers and many readers at once, and a comparison of what they were told
//! and saw with the log as it is at the end.
//!
//! Where a store can be shared some of both are [processes] of their own, which are killed and started
//! again while the others go on. On PostgreSQL there is [trouble] besides. Afterwards a [crowd] of
//! tenants shows whether each gets its share. Everybody keeps a
//! [`journal`](crate::journal); the [`audit`](mod@audit) reads them.
//! With `--compare` the audit is shown to find what it looks for: [mistakes] makes them on purpose.

mod attack;
mod audit;
mod crowd;
mod evidence;
mod ground;
mod mistakes;
mod processes;
mod reader;
mod report;
mod trouble;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use self::attack::attack;
use self::audit::audit;
use self::evidence::Feed;
use self::ground::Ground;
use self::report::{Report, Row};
use crate::Result;
use crate::address::Address;
use crate::database::{self, Server};
use crate::dice::Dice;
use crate::workplace::{self, Workplace};

/// The stores that can be attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StoreKind {
    /// A file of its own.
    Sqlite,
    /// A database of its own, on the server of UNDERLAY_TEST_POSTGRES_URL or a private one.
    Postgres,
    /// Within this process.
    Memory,
}

/// Attacks the order of the log: many writers, many readers, kills.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// How long writers write.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The store that is attacked.
    #[arg(long, value_enum, default_value_t = StoreKind::Sqlite)]
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
    let workplace = Workplace::new(arguments.directory.as_deref(), "order")?;
    let ground = match prepare(arguments.store, workplace.path()).await? {
        Ok(ground) => ground,
        Err(reason) => return database::skip(&reason),
    };
    let report = attack_and_compare(&arguments, ground, workplace.path()).await;
    let good = report.as_ref().is_ok_and(Report::is_good);
    if let Ok(report) = &report {
        report.print(arguments.json)?;
    }
    workplace.leave(good)?;
    report.map(|_| good)
}

/// What is attacked, empty; or why it cannot be had here.
async fn prepare(store: StoreKind, directory: &Path) -> Result<std::result::Result<Ground, String>> {
    Ok(Ok(match store {
        StoreKind::Sqlite => Ground::Sqlite(Address::Sqlite(directory.join("log.db"))),
        StoreKind::Memory => Ground::Memory,
        StoreKind::Postgres => match Server::find() {
            Ok(server) => {
                let database = server.create().await?;
                Ground::Postgres(Arc::new(server), database)
            }
            Err(reason) => return Ok(Err(reason)),
        },
    }))
}

async fn attack_and_compare(arguments: &Arguments, ground: Ground, directory: &Path) -> Result<Report> {
    let seed = workplace::seed(arguments.seed);
    let mut dice = Dice::new(seed);
    let mut report = Report::new(seed, Duration::from_millis(arguments.stall_millis_max));
    let lasts = Duration::from_secs(arguments.seconds);
    let mut attacked = attack(ground.clone(), directory, lasts, &mut dice).await?;
    attacked.evidence.crowd = crowd::gather(&ground, directory).await?;
    let name = match ground {
        Ground::Sqlite(_) => "underlay, sqlite",
        Ground::Postgres(..) => "underlay, postgres",
        Ground::Memory => "underlay, memory",
    };
    report.add(Row::ours(name, audit(&attacked.evidence), attacked.tally));
    drop(attacked.evidence);
    if arguments.compare {
        let made = match &ground {
            Ground::Postgres(server, _) => mistakes::postgres::make_all(server, &mut dice).await?,
            Ground::Sqlite(_) | Ground::Memory => {
                let directory = directory.to_owned();
                tokio::task::spawn_blocking(move || mistakes::make_all(&directory, &mut dice)).await??
            }
        };
        for mistake in made {
            report.add(Row::mistake(mistake.name, mistake.consequence, audit(&mistake.evidence)));
        }
    }
    Ok(report)
}
