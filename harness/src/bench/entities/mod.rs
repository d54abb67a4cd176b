//! Entities beside the driver alone, which does the same durable work: the same columns and indexes, the same flushes,
//! the same versions compared. It knows no tenant's walls, no definitions, no limits and no errors of a port.
//!
//! One caller asks ours and the driver in turns, so that what else happens on the machine meets both.

mod mongodb;
mod ours;
mod postgres;
mod redis;
mod sqlite;

use std::ops::Range;
use std::time::Instant;

use async_trait::async_trait;
use servers::Missing;

use self::ours::Ours;
use super::Scale;
use super::disk::Disk;
use super::figure::{Aim, Figure, Latency, Sample};
use crate::Result;

pub(super) const PART: &str = "entities";

/// What is aimed at: so many times the time of the driver alone.
const RATIO_MAX: f64 = 1.15;
/// Rates that are there before anything is measured.
const FILLED: u64 = 10_000;
/// Of them, those from here on are updated in units.
const UNITS_FROM: u64 = FILLED / 2;
/// How many are stored at once beforehand.
const FILLED_AT_ONCE: u64 = 100;
/// Bases that rates have; each of them has more rates than a page holds.
const BASES: u64 = 100;
const PAGE: usize = 50;
const UNIT: u64 = 10;
/// The part of a run that is not counted.
const WARM_UP: u64 = 10;

/// Who keeps rates: a store of ours, or a driver alone. A rate is known by its number.
#[async_trait]
trait Keeper: Send + Sync {
    /// Stores new rates, all or none.
    async fn create(&self, numbers: Range<u64>) -> Result<()>;

    /// Reads one; its version.
    async fn get(&self, number: u64) -> Result<u64>;

    /// Updates rates that have a version, all or none.
    async fn update(&self, numbers: Range<u64>, version: u64) -> Result<()>;

    /// Reads a page of those that have a base; how many.
    async fn page(&self, base: u64) -> Result<usize>;
}

/// The columns of a rate at a version.
struct Rate {
    id: String,
    base: String,
    value: i64,
    note: String,
}

impl Rate {
    fn of(number: u64, version: u64) -> Self {
        let value = i64::try_from(number * 31 + version).unwrap_or(i64::MAX);
        Self {
            id: id(number),
            base: base(number),
            value,
            note: format!("the rate of {number} as it was told last"),
        }
    }
}

fn id(number: u64) -> String {
    // In an order that is not the one they are made in.
    format!("{:08}", number * 7_919 % 100_000_000)
}

fn base(number: u64) -> String {
    format!("B{:02}", number % BASES)
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Create,
    Get,
    Update,
    Page,
    Unit,
}

impl Call {
    const ALL: [Self; 5] = [Self::Create, Self::Get, Self::Update, Self::Page, Self::Unit];

    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::Update => "update with its version",
            Self::Page => "page of 50",
            Self::Unit => "unit of 10 updates",
        }
    }

    /// How often it is done in a run.
    fn turns(self, scale: &Scale) -> u64 {
        match self {
            Self::Create | Self::Update => scale.entity_writes,
            Self::Unit => scale.entity_writes / 2,
            Self::Get | Self::Page => scale.entity_writes * 4,
        }
    }

    /// Does it for a turn of a round; each round updates every rate of its turns once.
    async fn make(self, keeper: &dyn Keeper, round: u64, turns: u64, turn: u64) -> Result<()> {
        match self {
            Self::Create => {
                let number = FILLED + round * turns + turn;
                keeper.create(number..number + 1).await
            }
            Self::Update => keeper.update(turn..turn + 1, round + 1).await,
            Self::Unit => {
                let first = UNITS_FROM + turn * UNIT;
                keeper.update(first..first + UNIT, round + 1).await
            }
            Self::Get => match keeper.get(turn * 31 % FILLED).await? {
                0 => Err("a rate that is there is not found".into()),
                _ => Ok(()),
            },
            Self::Page => match keeper.page(turn % BASES).await? {
                PAGE => Ok(()),
                found => Err(format!("a page has {found} rates").into()),
            },
        }
    }
}

pub(super) async fn measure(disk: &Disk, scale: &Scale) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let memory = Ours::in_memory().await?;
    figures.extend(compare("memory", &memory, None, scale).await?);
    let (ours, alone) = sqlite::open(disk).await?;
    figures.extend(compare("sqlite", &ours, Some(("rusqlite on a thread", &alone)), scale).await?);
    let served: [(&str, &'static str, Started); 3] = [
        ("postgres", "tokio-postgres", postgres::open().await),
        ("mongodb", "mongodb", mongodb::open().await),
        ("redis", "redis without scripts", redis::open().await),
    ];
    for (name, driver, started) in served {
        match started {
            Ok(Opened { ours, alone, server }) => {
                figures.extend(compare(name, &ours, Some((driver, &*alone)), scale).await?);
                drop(server);
            }
            Err(error) => match error.downcast::<Missing>() {
                Ok(missing) => eprintln!("  {}", missing.skip_line()),
                Err(error) => return Err(error),
            },
        }
    }
    Ok(figures)
}

/// A store and its driver alone, on a server that ends with this.
struct Opened {
    ours: Ours,
    alone: Box<dyn Keeper>,
    server: Box<dyn Send + Sync>,
}

type Started = Result<Opened>;

/// Measures ours, and a driver alone where there is one.
async fn compare(
    name: &str,
    ours: &Ours,
    alone: Option<(&'static str, &dyn Keeper)>,
    scale: &Scale,
) -> Result<Vec<Figure>> {
    eprintln!("  {name}");
    let keepers: Vec<&dyn Keeper> =
        [Some(ours as &dyn Keeper), alone.map(|(_, alone)| alone)].into_iter().flatten().collect();
    for first in (0..FILLED).step_by(usize::try_from(FILLED_AT_ONCE)?) {
        for keeper in &keepers {
            keeper.create(first..first + FILLED_AT_ONCE).await?;
        }
    }
    let mut figures = Vec::new();
    for call in Call::ALL {
        let mut runs: Vec<Vec<Sample>> = keepers.iter().map(|_| Vec::new()).collect();
        for round in 0..scale.rounds.min(ROUNDS_MAX) {
            for (at, sample) in run(call, &keepers, round as u64, scale).await?.into_iter().enumerate() {
                runs[at].push(sample);
            }
        }
        let mut runs = runs.into_iter();
        let figure = Figure::new(
            format!("entities in {name}, {}", call.name()),
            "µs",
            runs.next().unwrap_or_default(),
        );
        figures.push(match (alone, runs.next()) {
            (Some((driver, _)), Some(theirs)) => {
                figure.with_baseline(driver, theirs).with_aim(Aim::RatioAtMost(RATIO_MAX))
            }
            _ => figure,
        });
    }
    Ok(figures)
}

/// Runs of each figure.
const ROUNDS_MAX: usize = 3;

/// The times of a call by each keeper, who take turns.
async fn run(call: Call, keepers: &[&dyn Keeper], round: u64, scale: &Scale) -> Result<Vec<Sample>> {
    let turns = call.turns(scale);
    let mut times: Vec<Vec<u64>> = keepers.iter().map(|_| Vec::new()).collect();
    for turn in 0..turns {
        // Who comes second finds the processor warm.
        let first = usize::from(turn % 2 == 1);
        for step in 0..keepers.len() {
            let at = (first + step) % keepers.len();
            let begun = Instant::now();
            call.make(keepers[at], round, turns, turn).await?;
            if turn >= turns / WARM_UP {
                times[at].push(u64::try_from(begun.elapsed().as_nanos())?);
            }
        }
    }
    let sample = |times| {
        let latency = Latency::of(times).ok_or("nothing was measured")?;
        Ok(Sample { latency: Some(latency), ..Sample::of(latency.p50) })
    };
    times.into_iter().map(sample).collect()
}
