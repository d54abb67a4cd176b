//! `harness order`: many writers and many readers at once, and a comparison of what they were told
//! and saw with the log as it is at the end.
//!
//! On SQLite some of both are processes of their own, which are killed and started again while the
//! others go on. Everybody keeps a [`journal`]; the [`audit`](mod@audit) reads them.
//! With `--compare` the audit is shown to find what it looks for: [mistakes] makes them on purpose.

mod audit;
mod evidence;
mod mistakes;
mod reader;
mod report;
mod writer;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use tokio::sync::watch;
use tokio::task::JoinSet;
use underlay_core::limits::PAGE_EVENTS_MAX;
use underlay_core::{LogFilter, LogScope, Position};

use self::audit::audit;
use self::evidence::{Evidence, Feed, LogEntry, ReaderEvidence};
use self::reader::Reader;
use self::report::{Report, Row};
use self::writer::Writers;
use crate::address::{Address, OpenStore};
use crate::child::ChildProcess;
use crate::dice::Dice;
use crate::workplace::{self, Workplace};
use crate::{Result, journal};

/// Writers in this process.
const WRITERS: usize = 12;
/// Writing processes, and writers in each.
const WRITER_PROCESSES: usize = 3;
const WRITERS_IN_A_PROCESS: usize = 4;
/// What the reading processes read.
const READER_PROCESSES: [Feed; 2] = [Feed::Everything, Feed::OneType];
/// The longest time between two kills.
const KILL_INTERVAL_MAX: Duration = Duration::from_millis(400);

/// The stores that can be attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StoreKind {
    /// A file of its own.
    Sqlite,
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
    let ReaderArguments { database, journal, feed, seed } = arguments;
    reader::run_child(&database, &journal, feed, seed).await
}

/// Runs the attack; true where nothing was found that should not be.
pub(crate) async fn run(arguments: Arguments) -> Result<bool> {
    let workplace = Workplace::new(arguments.directory.as_deref(), "order")?;
    let report = attack_and_compare(&arguments, workplace.path()).await;
    let good = report.as_ref().is_ok_and(Report::is_good);
    if let Ok(report) = &report {
        report.print(arguments.json)?;
    }
    workplace.leave(good)?;
    report.map(|_| good)
}

async fn attack_and_compare(arguments: &Arguments, directory: &Path) -> Result<Report> {
    let seed = workplace::seed(arguments.seed);
    let mut dice = Dice::new(seed);
    let mut report = Report::new(seed, Duration::from_millis(arguments.stall_millis_max));
    let evidence = attack(arguments, directory, &mut dice).await?;
    let name = match arguments.store {
        StoreKind::Sqlite => "underlay, sqlite",
        StoreKind::Memory => "underlay, memory",
    };
    report.add(Row::ours(name, audit(&evidence)));
    drop(evidence);
    if arguments.compare {
        let directory = directory.to_owned();
        let mistakes =
            tokio::task::spawn_blocking(move || mistakes::make_all(&directory, &mut dice)).await??;
        for (mistake, evidence) in mistakes {
            report.add(Row::mistake(mistake, audit(&evidence)));
        }
    }
    Ok(report)
}

async fn attack(arguments: &Arguments, directory: &Path, dice: &mut Dice) -> Result<Evidence> {
    let address = match arguments.store {
        StoreKind::Sqlite => Address::Sqlite(directory.join("log.db")),
        StoreKind::Memory => Address::Memory,
    };
    let open = address.open().await?;
    let (goal, known) = watch::channel(None);
    let mut readers = JoinSet::new();
    let mut journals = Vec::new();
    for (number, feed) in Feed::ALL.into_iter().chain([Feed::Everything]).enumerate() {
        let path = directory.join(format!("reader-{number}"));
        journals.push((format!("{} ({number})", feed.name()), feed, path.clone()));
        let reader = Reader::new(&open, feed, dice.fork(), known.clone())?;
        readers.spawn(async move { reader.read(&path).await });
    }
    let mut processes = Processes { address: &address, directory, dice: dice.fork(), started: 0 };
    let mut writing = Vec::new();
    let mut reading = Vec::new();
    if arguments.store == StoreKind::Sqlite {
        for _ in 0..WRITER_PROCESSES {
            writing.push(processes.start_writer()?);
        }
        for feed in READER_PROCESSES {
            let path = directory.join(format!("reader-process-{}", feed.name()));
            journals.push((format!("{} (process)", feed.name()), feed, path.clone()));
            reading.push((feed, path.clone(), processes.start_reader(feed, &path)?));
        }
    }
    let journal = directory.join("writer-0");
    let writers = Writers::start(&open.store, &journal, WRITERS, dice)?;

    let deadline = Instant::now() + Duration::from_secs(arguments.seconds);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        tokio::time::sleep(dice.time_below(KILL_INTERVAL_MAX).min(left)).await;
        if writing.is_empty() || Instant::now() >= deadline {
            continue;
        }
        if dice.chance(75) {
            let place = dice.index(writing.len());
            writing[place].kill()?;
            writing[place] = processes.start_writer()?;
        } else {
            let place = dice.index(reading.len());
            let (feed, path, process) = &mut reading[place];
            process.kill()?;
            *process = processes.start_reader(*feed, path)?;
        }
    }

    writers.finish().await?;
    for process in writing {
        process.finish()?;
    }
    goal.send_replace(Some(open.store.head().await?));
    for (_, _, process) in reading {
        process.finish()?;
    }
    while let Some(ended) = readers.join_next().await {
        ended??;
    }

    let mut evidence = Evidence { log: read_log(&open).await?, ..Evidence::default() };
    for number in 0..=processes.started {
        evidence.writers.extend(journal::read(&directory.join(format!("writer-{number}")))?);
    }
    for (name, feed, path) in journals {
        evidence.readers.push(ReaderEvidence { name, feed, pages: journal::read(&path)? });
    }
    open.close().await?;
    Ok(evidence)
}

/// The processes beside this one.
struct Processes<'a> {
    address: &'a Address,
    directory: &'a Path,
    dice: Dice,
    /// Writing processes started so far; each has a journal of its own, from number 1.
    started: usize,
}

impl Processes<'_> {
    fn start_writer(&mut self) -> Result<ChildProcess> {
        self.started += 1;
        let journal = self.directory.join(format!("writer-{}", self.started));
        ChildProcess::start("order-writer", |command| {
            command.arg("--database").arg(self.address.to_string()).arg("--journal").arg(journal);
            command.arg("--writers").arg(WRITERS_IN_A_PROCESS.to_string());
            command.arg("--seed").arg(self.dice.seed().to_string());
        })
    }

    fn start_reader(&mut self, feed: Feed, journal: &Path) -> Result<ChildProcess> {
        ChildProcess::start("order-reader", |command| {
            command.arg("--database").arg(self.address.to_string()).arg("--journal").arg(journal);
            command.arg("--feed").arg(feed.name()).arg("--seed").arg(self.dice.seed().to_string());
        })
    }
}

/// The log from the start to its end, now that nobody writes.
async fn read_log(open: &OpenStore) -> Result<Vec<LogEntry>> {
    let mut log = Vec::new();
    let mut position = Position::START;
    loop {
        let page = open
            .store
            .read_all(&LogScope::EveryTenant, position, &LogFilter::default(), PAGE_EVENTS_MAX)
            .await?;
        for event in &page.events {
            log.push(LogEntry::new(event)?);
        }
        if page.scanned_to == position {
            return Ok(log);
        }
        position = page.scanned_to;
    }
}
