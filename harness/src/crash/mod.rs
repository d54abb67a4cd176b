//! `harness crash`: a process is killed at any moment, again and again, and what it promised is
//! looked for afterwards.
//!
//! A round: start the child (an engine over a database, a running view, tellers with a journal),
//! kill it with SIGKILL, look at the database, send some commands again. The database stays for some
//! rounds and grows; in some rounds the next child comes before anybody looks. With `--power-loss`
//! what the child had not flushed is taken away before the look. With `--server-crash` the server
//! crashes while the child is at work, which goes on by itself before it is killed.

mod bank;
mod book;
mod errand;
mod ground;
mod log;
mod power;
mod teller;
mod verify;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde_json::json;

use self::book::Book;
use self::ground::{Ground, Place, ServerCrashes};
use self::power::PowerCut;
use crate::child::ChildProcess;
use crate::database::{self, Server};
use crate::dice::Dice;
use crate::journal::Journal;
use crate::workplace::{self, Workplace};
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
/// Sizes past which the WAL begins again: small ones, so that kills hit that too.
const WAL_BYTES_MAX: [u64; 3] = [64 << 10, 512 << 10, 64 << 20];
/// What is printed of what was found.
const PRINTED_MAX: usize = 20;

/// The stores that can be attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StoreKind {
    /// A file.
    Sqlite,
    /// A database, on the server of UNDERLAY_TEST_POSTGRES_URL or a private one.
    Postgres,
}

/// Kills a process at any moment and looks for what it promised.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The store that is attacked.
    #[arg(long, value_enum, default_value_t = StoreKind::Sqlite)]
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
    let seed = workplace::seed(arguments.seed);
    let workplace = Workplace::new(arguments.directory.as_deref(), "crash")?;
    let power = if arguments.power_loss {
        match PowerCut::prepare(workplace.path(), arguments.break_sync)? {
            Ok(power) => Some(power),
            Err(reason) => return skip(&reason),
        }
    } else {
        None
    };
    let ground = match prepare(&arguments, workplace.path())? {
        Ok(ground) => ground,
        Err(reason) => return database::skip(&reason),
    };
    let began = Instant::now();
    let rounds = Rounds { arguments: &arguments, directory: workplace.path(), power };
    let summary = rounds.run(ground, &mut Dice::new(seed)).await;
    let good = summary.as_ref().is_ok_and(|summary| summary.violations.is_empty() != arguments.break_sync);
    if let Ok(summary) = &summary {
        summary.print(&arguments, seed, began.elapsed())?;
    }
    // A broken flush leaves nothing to look at: it was broken on purpose.
    workplace.leave(good)?;
    summary.map(|_| good)
}

/// What is attacked, or why it cannot be had here.
fn prepare(arguments: &Arguments, directory: &Path) -> Result<std::result::Result<Ground, String>> {
    let server = match (arguments.store, arguments.server_crash, arguments.power_loss) {
        (StoreKind::Sqlite, false, _) => return Ok(Ok(Ground::Sqlite(directory.to_owned()))),
        (StoreKind::Sqlite, true, _) => return Err("SQLite has no server that could crash".into()),
        (StoreKind::Postgres, _, true) => return Err("power loss is made for SQLite alone".into()),
        (StoreKind::Postgres, true, false) => Server::start(),
        (StoreKind::Postgres, false, false) => Server::find(),
    };
    Ok(server.map(Box::new).map(Ground::Postgres))
}

fn skip(reason: &str) -> Result<bool> {
    terminal::print(&format!("SKIP power-loss: {reason}"))?;
    Ok(!std::env::var("REQUIRE_SERVERS").is_ok_and(|required| required == "1"))
}

struct Rounds<'a> {
    arguments: &'a Arguments,
    directory: &'a Path,
    power: Option<PowerCut>,
}

/// A database, and what is known of it.
struct Database {
    place: Place,
    book: Book,
    /// Whether the last child was killed and the power stayed: what it had written is there, flushed
    /// or not.
    kept_power: bool,
}

impl Rounds<'_> {
    async fn run(&self, mut ground: Ground, dice: &mut Dice) -> Result<Summary> {
        let mut summary = Summary::default();
        let mut database = None;
        while summary.rounds < self.arguments.rounds {
            let mut current = match database.take() {
                Some(database) if !summary.rounds.is_multiple_of(self.arguments.rounds_per_database) => {
                    database
                }
                _ => new_database(&ground, summary.rounds).await?,
            };
            let (before, repeats_before) = (current.book.acknowledged, current.book.repeats);
            summary.violations = self.round(&mut ground, &mut current, &mut summary, dice).await?;
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
        ground: &mut Ground,
        database: &mut Database,
        summary: &mut Summary,
        dice: &mut Dice,
    ) -> Result<Vec<String>> {
        let Arguments { rounds, rounds_per_database, .. } = self.arguments;
        let round = summary.rounds;
        let (journal, past) = (self.journal(round), self.directory.join("past"));
        write_past(&past, &database.book, dice)?;
        let address = database.place.address();
        let wal_bytes_max = *dice.pick(&WAL_BYTES_MAX).unwrap_or(&WAL_BYTES_MAX[0]);
        let mut prepared = Ok(());
        let mut child = ChildProcess::start("crash-child", |command| {
            command.arg("--database").arg(address.to_string()).arg("--past").arg(&past);
            command.arg("--journal").arg(&journal).arg("--seed").arg(dice.seed().to_string());
            command.arg("--wal-bytes-max").arg(wal_bytes_max.to_string());
            if let (Some(power), Some(directory)) = (&self.power, database.place.directory()) {
                prepared = power.begin(command, directory, database.kept_power);
            }
        })?;
        prepared?;
        let is_on_server = matches!(database.place, Place::Postgres(_));
        let is_new = round.is_multiple_of(*rounds_per_database);
        let is_last = round + 1 == *rounds || (round + 1).is_multiple_of(*rounds_per_database);
        let is_fragile = is_new || database.kept_power;
        if database.kept_power && dice.chance(KILLED_AT_FIRST_ANSWER) {
            wait_for_answer(&journal)?;
        } else if dice.chance(if is_fragile { FRAGILE_KILLED_AT_START } else { KILLED_AT_START }) {
            summary.killed_at_start += 1;
            thread::sleep(dice.time_below(START_MAX));
        } else if child.wait_until_ready()? {
            let work_max = if is_on_server { SERVER_WORK_MAX } else { WORK_MAX };
            thread::sleep(dice.time_below(work_max));
            if self.arguments.server_crash {
                ground.crash_server(&database.place, dice, &mut summary.crashes).await?;
                thread::sleep(dice.time_below(AFTER_CRASH_MAX));
            }
        }
        let killed = child.kill();
        let is_unseen = !is_last && dice.chance(UNSEEN);
        database.kept_power = is_unseen && dice.chance(POWER_KEPT);
        if let (Some(power), Some(directory), false) =
            (&self.power, database.place.directory(), database.kept_power)
        {
            power.cut(directory, dice)?;
        }
        let mut violations = database.book.absorb(journal::read(&journal)?);
        violations.extend(killed.err().map(|error| error.to_string()));
        std::fs::remove_file(&past)?;
        if !is_unseen {
            database.place.wait_until_left().await?;
            let looked = look(&database.place, &mut database.book, dice).await;
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

async fn new_database(ground: &Ground, round: u64) -> Result<Database> {
    let place = ground.new_place(round).await?;
    Ok(Database { place, book: Book::default(), kept_power: false })
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

async fn look(place: &Place, book: &mut Book, dice: &mut Dice) -> Result<Vec<String>> {
    let open = place.address().open().await?;
    let violations = verify::verify(&open, book, dice).await?;
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
