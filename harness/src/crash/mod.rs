//! `harness crash`: a process is killed at any moment, again and again, and what it promised is
//! looked for afterwards.
//!
//! A round: start the child (an engine over a database, a running view, tellers with a journal),
//! kill it with SIGKILL, look at the database, send some commands again. The database stays for some
//! rounds and grows; in some rounds the next child comes before anybody looks. With `--power-loss`
//! what the child had not flushed is taken away before the look. With `--server-crash` the server
//! crashes while the child is at work, which goes on by itself before it is killed. With `--rows` another server keeps
//! the rows of the view, and `--server-crash` crashes that one.
//!
//! With `--work` the processes do [work]: each round is a kill there. With `--scheduler` a Temporal server has it done,
//! and [suffers](schedulers) too. With `--delay` it is counted how long a kill
//! [delays](delay) the work that the process had in hand.

pub(crate) mod bank;
mod book;
mod delay;
mod errand;
mod log;
mod power;
mod schedulers;
mod server;
mod teller;
mod verify;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use self::book::Book;
use self::power::PowerCut;
use self::schedulers::{DrivenBy, Schedulers};
use self::server::ServerCrashes;
use crate::child::ChildProcess;
use crate::dice::Dice;
use crate::journal::Journal;
use crate::run_folder::{self, RunFolder};
use crate::subject::{self, Place, RowsAddress, RowsKind, RowsServer, StoreKind, Subject, Way};
use crate::{Result, journal, terminal};

use self::teller::TellerLine;
pub(crate) use self::teller::{Arguments as ChildArguments, run as run_child};

/// The longest a child works before it is killed; on a server every answer takes longer.
const WORK_MAX: Duration = Duration::from_millis(150);
const SERVER_WORK_MAX: Duration = Duration::from_millis(500);
/// The longest a child starts before it is killed, where it is killed at the start.
const START_MAX: Duration = Duration::from_millis(30);
/// The longest a child works on after its server has crashed.
const AFTER_CRASH_MAX: Duration = Duration::from_millis(1_500);
/// Rounds, in percent, in which it is.
const KILLED_AT_START: u64 = 15;
/// The same where the child makes the database, or finds what another was flushing.
const FRAGILE_KILLED_AT_START: u64 = 60;
/// How often, in percent, a child that finds what another was flushing is killed at its first answer.
const KILLED_AT_FIRST_ANSWER: u64 = 60;
/// The longest a child takes to give it.
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(2);
/// Rounds, in percent, after which nobody looks before the next child comes.
const UNSEEN: u64 = 30;
/// Of these, in percent, how many have no power cut: the next child finds what was not flushed, and
/// the power goes later.
const POWER_KEPT: u64 = 70;
/// What is printed of what was found.
const PRINTED_MAX: usize = 20;

/// The stores that outlive a process.
const STORES: &[StoreKind] = &[StoreKind::Sqlite, StoreKind::Postgres];

/// Kills a process at any moment and looks for what it promised.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The store that is attacked.
    #[arg(long, default_value_t = StoreKind::Sqlite, value_parser = StoreKind::among(STORES))]
    store: StoreKind,
    /// How often.
    #[arg(long, default_value_t = 100)]
    rounds: u64,
    /// Rounds with one database, before a new one.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    rounds_per_database: u64,
    /// The seed of everything that is drawn.
    #[arg(long)]
    seed: Option<u64>,
    /// Takes away what was not flushed; of SQLite.
    #[arg(long, conflicts_with = "server_crash")]
    power_loss: bool,
    /// Crashes the server too, a private one: a session is killed, or all processes end at once.
    #[arg(long)]
    server_crash: bool,
    /// Keeps the rows of the view on a private server of another kind, beside the log of the store. A server that
    /// crashes is that one.
    #[arg(long, value_enum, conflicts_with_all = ["power_loss", "work", "delay"])]
    rows: Option<RowsKind>,
    /// Kills processes that do work: stored commands, messages, a process with timers. Each round is a kill.
    #[arg(long, conflicts_with = "break_sync")]
    work: bool,
    /// Counts how long a kill delays work, and fails where that is longer than the lease, a second, and the allowance.
    /// Each round is a kill.
    #[arg(long, conflicts_with_all = ["work", "break_sync", "power_loss", "server_crash"])]
    delay: bool,
    /// The lease of those processes.
    #[arg(long, default_value_t = 10, requires = "delay", value_parser = clap::value_parser!(u64).range(1..=60))]
    lease_seconds: u64,
    /// How much longer a kill may delay work on a machine that does other things too.
    #[arg(long, default_value_t = 2_000, requires = "delay")]
    allowance_millis: u64,
    /// What has the work done: those who hold it, a private Temporal server, which is stopped and started, or one and
    /// then the other. With the latter two, processes also die at chosen moments of a job.
    #[arg(long, value_enum, default_value_t = DrivenBy::Embedded)]
    scheduler: DrivenBy,
    /// Makes every flush do nothing; fails where that is not found.
    #[arg(long, requires = "power_loss")]
    break_sync: bool,
    /// Where the files are made; a temporary directory where it is left out.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Prints JSON instead of sentences.
    #[arg(long)]
    json: bool,
}

/// What came of all rounds.
#[derive(Debug, Default)]
struct Summary {
    rounds: u64,
    acknowledged: u64,
    repeats: u64,
    killed_at_start: u64,
    crashes: ServerCrashes,
    /// What the round before the end found.
    violations: Vec<String>,
}

/// Runs the rounds; true where everything is as it should be.
pub(crate) async fn run(arguments: Arguments) -> Result<bool> {
    let seed = run_folder::seed(arguments.seed);
    let folder = RunFolder::new(arguments.directory.as_deref(), "crash")?;
    let power = if arguments.power_loss {
        match PowerCut::prepare(folder.path(), arguments.break_sync)? {
            Ok(power) => Some(power),
            Err(missing) => return subject::skip(&missing),
        }
    } else {
        None
    };
    let rows = match arguments.rows.map(RowsKind::start).transpose() {
        Ok(rows) => rows,
        Err(missing) => return subject::skip(&missing),
    };
    let found = if arguments.server_crash {
        arguments.store.start(folder.path())
    } else {
        arguments.store.find(folder.path())
    };
    let subject = match found {
        Ok(subject) => subject,
        Err(missing) => return subject::skip(&missing),
    };
    match (subject.server().is_some() || rows.is_some(), arguments.server_crash, arguments.power_loss) {
        (false, true, _) => return Err(format!("{} has no server that could crash", arguments.store).into()),
        (true, _, true) => return Err("power loss is made for stores in files alone".into()),
        _ => {}
    }
    let began = Instant::now();
    let rounds = Rounds { arguments: &arguments, directory: folder.path(), power };
    if arguments.delay {
        let delays = rounds.run_delays(&*subject, &mut Dice::new(seed)).await;
        let good = delays.as_ref().is_ok_and(delay::Delays::is_good);
        if let Ok(delays) = &delays {
            delays.print(&arguments, seed, began.elapsed())?;
        }
        folder.leave(good)?;
        return delays.map(|_| good);
    }
    if arguments.scheduler != DrivenBy::Embedded && (!arguments.work || arguments.power_loss) {
        return Err("a scheduler drives what `--work` does, without `--power-loss`".into());
    }
    if arguments.work {
        let mut dice = Dice::new(seed);
        let schedulers = match Schedulers::prepare(arguments.scheduler, &mut dice) {
            Ok(schedulers) => schedulers,
            Err(missing) => return subject::skip(&missing),
        };
        let summary = rounds.run_work(subject, schedulers, &mut dice).await;
        let good = summary.as_ref().is_ok_and(|summary| summary.findings.is_clean());
        if let Ok(summary) = &summary {
            summary.print(&arguments, seed, began.elapsed())?;
        }
        folder.leave(good)?;
        return summary.map(|_| good);
    }
    let summary = rounds.run(subject, rows, &mut Dice::new(seed)).await;
    let good = summary.as_ref().is_ok_and(|summary| summary.violations.is_empty() != arguments.break_sync);
    if let Ok(summary) = &summary {
        summary.print(&arguments, seed, began.elapsed())?;
    }
    // A broken flush leaves nothing to look at: it was broken on purpose.
    folder.leave(good)?;
    summary.map(|_| good)
}

struct Rounds<'a> {
    arguments: &'a Arguments,
    directory: &'a Path,
    power: Option<PowerCut>,
}

/// A database, and what is known of it.
struct Database {
    place: Arc<dyn Place>,
    /// Where its rows are, where they are elsewhere.
    rows: Option<RowsAddress>,
    book: Book,
    /// Whether the last child was killed and the power stayed: what it had written is there, flushed
    /// or not.
    kept_power: bool,
}

impl Rounds<'_> {
    async fn run(
        &self,
        mut subject: Box<dyn Subject>,
        mut rows: Option<RowsServer>,
        dice: &mut Dice,
    ) -> Result<Summary> {
        let mut summary = Summary::default();
        let mut database = None;
        while summary.rounds < self.arguments.rounds {
            let mut current = match database.take() {
                Some(database) if !summary.rounds.is_multiple_of(self.arguments.rounds_per_database) => {
                    database
                }
                _ => new_database(&*subject, rows.as_ref(), summary.rounds).await?,
            };
            let (before, repeats_before) = (current.book.acknowledged, current.book.repeats);
            let mut crash = Crash { subject: &mut *subject, rows: rows.as_mut() };
            summary.violations = self.round(&mut crash, &mut current, &mut summary, dice).await?;
            summary.rounds += 1;
            summary.acknowledged += current.book.acknowledged - before;
            summary.repeats += current.book.repeats - repeats_before;
            if !summary.violations.is_empty() {
                return Ok(summary);
            }
            database = Some(current);
        }
        Ok(summary)
    }

    async fn round(
        &self,
        crash: &mut Crash<'_>,
        database: &mut Database,
        summary: &mut Summary,
        dice: &mut Dice,
    ) -> Result<Vec<String>> {
        let Arguments { rounds, rounds_per_database, .. } = self.arguments;
        let round = summary.rounds;
        let (journal, past) = (self.journal(round), self.directory.join("past"));
        write_past(&past, &database.book, dice)?;
        let address = database.place.any_address(dice);
        let mut prepared = Ok(());
        let mut child = ChildProcess::start("crash-child", |command| {
            command.arg("--database").arg(address.to_string()).arg("--past").arg(&past);
            command.arg("--journal").arg(&journal).arg("--seed").arg(dice.seed().to_string());
            if let Some(rows) = &database.rows {
                command.arg("--rows").arg(rows.to_string());
            }
            if let (Some(power), Some(files)) = (&self.power, database.place.files()) {
                prepared = power.begin(command, files, database.kept_power);
            }
        })?;
        prepared?;
        let is_new = round.is_multiple_of(*rounds_per_database);
        let is_last = round + 1 == *rounds || (round + 1).is_multiple_of(*rounds_per_database);
        let is_fragile = is_new || database.kept_power;
        if database.kept_power && dice.chance(KILLED_AT_FIRST_ANSWER) {
            wait_for_answer(&journal)?;
        } else if dice.chance(if is_fragile { FRAGILE_KILLED_AT_START } else { KILLED_AT_START }) {
            summary.killed_at_start += 1;
            thread::sleep(dice.time_below(START_MAX));
        } else if child.wait_until_ready()? {
            let work_max = if crash.has_server() { SERVER_WORK_MAX } else { WORK_MAX };
            thread::sleep(dice.time_below(work_max));
            if self.arguments.server_crash {
                crash.happen(&*database.place, dice, &mut summary.crashes).await?;
                thread::sleep(dice.time_below(AFTER_CRASH_MAX));
            }
        }
        let killed = child.kill();
        let is_unseen = !is_last && dice.chance(UNSEEN);
        database.kept_power = is_unseen && dice.chance(POWER_KEPT);
        if let (Some(power), Some(files), false) = (&self.power, database.place.files(), database.kept_power)
        {
            power.cut(files, dice)?;
        }
        let mut violations = database.book.absorb(journal::read(&journal)?);
        violations.extend(killed.err().map(|error| error.to_string()));
        std::fs::remove_file(&past)?;
        if !is_unseen {
            database.place.wait_until_left().await?;
            let looked = look(database, dice).await;
            violations.extend(looked.unwrap_or_else(|error| vec![format!("it cannot be read: {error}")]));
        }
        if violations.is_empty() && journal.exists() {
            std::fs::remove_file(&journal)?;
        }
        if violations.is_empty() && is_last {
            database.place.remove()?;
        }
        Ok(violations)
    }

    fn journal(&self, round: u64) -> PathBuf {
        self.directory.join(format!("round-{round}"))
    }
}

/// What can crash.
struct Crash<'a> {
    subject: &'a mut dyn Subject,
    rows: Option<&'a mut RowsServer>,
}

impl Crash<'_> {
    fn has_server(&self) -> bool {
        self.rows.is_some() || self.subject.server().is_some()
    }

    /// Crashes the server of the rows, or else that of the store.
    async fn happen(
        &mut self,
        place: &dyn Place,
        dice: &mut Dice,
        crashes: &mut ServerCrashes,
    ) -> Result<()> {
        match &mut self.rows {
            Some(rows) => crashes.of_rows(rows),
            None => server::crash(self.subject, place, dice, crashes).await,
        }
    }
}

async fn new_database(subject: &dyn Subject, rows: Option<&RowsServer>, round: u64) -> Result<Database> {
    let place = subject.place(&format!("database-{round}")).await?;
    let rows = rows.map(|rows| rows.place(&format!("crash_{round}")));
    Ok(Database { place, rows, book: Book::default(), kept_power: false })
}

/// Waits until a child has answered something.
fn wait_for_answer(journal: &Path) -> Result<()> {
    let deadline = Instant::now() + FIRST_ANSWER_MAX;
    while Instant::now() < deadline {
        let lines: Vec<TellerLine> = journal::read(journal)?;
        if lines.iter().any(|line| matches!(line, TellerLine::Answered(..))) {
            break;
        }
        thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

fn write_past(path: &Path, book: &Book, dice: &mut Dice) -> Result<()> {
    let journal = Journal::open(path)?;
    book.past(dice).iter().try_for_each(|errand| journal.write(errand))
}

async fn look(database: &mut Database, dice: &mut Dice) -> Result<Vec<String>> {
    let open = database.place.address(Way::USUAL).open_with_rows(database.rows.as_ref()).await?;
    let violations = verify::verify(&open, &mut database.book, dice).await?;
    open.close().await?;
    Ok(violations)
}

impl Summary {
    fn print(&self, arguments: &Arguments, seed: u64, took: Duration) -> Result<()> {
        let Self { rounds, acknowledged, repeats, killed_at_start, crashes, violations } = self;
        if arguments.json {
            let answer = json!({
                "seed": seed,
                "rounds": rounds,
                "acknowledged": acknowledged,
                "repeats": repeats,
                "killed_at_start": killed_at_start,
                "server_crashes": crashes,
                "violations": violations,
                "power_loss": arguments.power_loss,
                "sync_broken_on_purpose": arguments.break_sync,
                "seconds": took.as_secs_f64(),
            });
            return terminal::print(&serde_json::to_string_pretty(&answer)?);
        }
        let mut lines = vec![
            format!("{rounds} rounds, {acknowledged} commands acknowledged, {} violations", violations.len()),
            format!(
                "seed {seed}, {:.1} s, {killed_at_start} killed at the start, {repeats} repeats answered as the first time",
                took.as_secs_f64()
            ),
        ];
        if arguments.server_crash {
            lines.push(crashes.to_string());
        }
        if arguments.break_sync {
            let found = if violations.is_empty() { "and that was NOT found" } else { "and that was found" };
            lines.push(format!("every flush did nothing, {found}"));
        }
        if !violations.is_empty() {
            lines.push(format!("in round {}:", rounds - 1));
            lines.extend(violations.iter().take(PRINTED_MAX).map(|violation| format!("  {violation}")));
        }
        terminal::print(&lines.join("\n"))
    }
}
