//! `harness attack`: every query of the product, and every table under it, with another tenant's names
//! and ids, as every role, in every way to have named no tenant or the wrong one.
//!
//! Tenants are filled through the ports, each with marks of its own; whatever an attack is told is
//! searched for the marks of others. What each role is meant to be able to do is [declared]; everything
//! else is tried. An attack also shows that it is one: with its own tenant it gets what it should.
//! With `--compare` it is shown to find what it looks for: [holes] are made in copies of the database.

mod connections;
mod declared;
mod dump;
mod engine;
mod holes;
mod http;
mod logins;
mod marks;
mod methods;
mod place;
mod population;
mod ports;
mod report;
mod rights;
mod session;
mod statements;
mod tables;
mod tally;
mod tricks;
mod vault;

use std::sync::Arc;
use std::time::Instant;

use clap::{Args, ValueEnum};
use underlay_core::{EventStore, ReadModels, Snapshots, SystemClock, Wakeups};
use underlay_runtime::Ports;
use underlay_sqlite::{SqliteConfig, SqliteStore};

use self::connections::Settle;
use self::place::{Database, EVERYBODY, LOGIN, Place};
use self::population::Population;
use self::report::Report;
use self::session::Session;
use self::tally::{Attack, Tally};
use crate::Result;
use crate::database::{Server, skip};

/// The stores that can be attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StoreKind {
    /// A database of its own on a server.
    Postgres,
}

/// Attacks the walls between tenants.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The store that is attacked.
    #[arg(long, value_enum, default_value_t = StoreKind::Postgres)]
    store: StoreKind,
    /// Also makes holes in the walls, and fails where they are not found.
    #[arg(long)]
    compare: bool,
    /// Only holes with this in their name; may be given several times.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Makes the holes and attacks nothing else.
    #[arg(long, requires = "compare")]
    holes_alone: bool,
    /// Tries a few of the settings of a tenant, not all of them.
    #[arg(long)]
    quick: bool,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Who attacks whom: places in the list of tenants. Each kind of run has its own.
const PAIRS: [(usize, usize); 6] = [(0, 1), (1, 0), (2, 3), (4, 5), (6, 7), (11, 12)];
const PAIRS_OF_DEFAULTS: [(usize, usize); 2] = [(0, 3), (8, 9)];

/// Runs the attack; true where nothing leaked.
pub(crate) async fn run(arguments: Arguments) -> Result<bool> {
    let server = match tokio::task::spawn_blocking(Server::find).await? {
        Ok(server) => server,
        Err(reason) => return skip(&reason),
    };
    let began = Instant::now();
    let mut place = Place::create(&server).await?;
    let report = attack(&arguments, &mut place).await;
    let removed = place.remove().await;
    let (tally, holes, version) = report?;
    removed?;
    let whole = !arguments.holes_alone;
    let report = Report { server: version, whole, tally, holes, seconds: began.elapsed().as_secs_f64() };
    report.print(arguments.json)?;
    Ok(report.is_good())
}

async fn attack(arguments: &Arguments, place: &mut Place<'_>) -> Result<(Tally, Vec<holes::Found>, String)> {
    let StoreKind::Postgres = arguments.store;
    let through_ports = place.migrated().await?;
    let store = place.database(&through_ports).store().await?;
    let mut population = population::fill(&store).await?;
    store.close().await?;
    place.empty_of_sessions(&through_ports).await?;
    let by_sql = place.new_database(&through_ports).await?;

    let mut tally = Tally::default();
    let pairs = if arguments.quick { &PAIRS[..2] } else { &PAIRS };
    if !arguments.holes_alone {
        attack_ports(&place.database(&through_ports), &population, pairs, &mut tally).await?;
    }
    let database = place.database(&by_sql);
    let admin = database.admin().await?;
    population::add_hostile(&mut population, &admin).await?;
    let version = admin.lines("SHOW server_version").await?.join(" ");
    drop(admin);
    let all = !arguments.quick;
    let parts = if arguments.holes_alone { &[] } else { Part::ALL.as_slice() };
    attack_sql(&database, &population, parts, all, &statements::settle, &mut tally).await?;
    let mut holes = Vec::new();
    if !arguments.holes_alone {
        let store = place.database(&through_ports).store().await?;
        tally.add(http::attack("HTTP: every address, on PostgreSQL", ports_of(store.clone())).await?);
        store.close().await?;
        tally.add(over_http_on_sqlite().await?);
    }
    if arguments.compare {
        holes = holes::make_all(place, &by_sql, &population, &arguments.only).await?;
        holes.extend(http::find_mistakes(&arguments.only).await?);
    }
    Ok((tally, holes, format!("PostgreSQL {version}")))
}

async fn over_http_on_sqlite() -> Result<Attack> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("attack.db");
    let opening = tokio::task::spawn_blocking(|| SqliteStore::open(path, SqliteConfig::default()));
    let store = opening.await??;
    let attack = http::attack("HTTP: every address, on SQLite", ports_of(store.clone())).await;
    store.close().await?;
    attack
}

/// The ports of a store, for one process.
fn ports_of<S>(store: S) -> Ports
where
    S: EventStore + ReadModels + Wakeups + Snapshots + Clone,
{
    Ports {
        store: Arc::new(store.clone()),
        read_models: Arc::new(store.clone()),
        wakeups: Arc::new(store.clone()),
        snapshots: Some(Arc::new(store)),
        leases: None,
        clock: Arc::new(SystemClock),
    }
}

/// Calls the product.
async fn attack_ports(
    database: &Database<'_>,
    population: &Population,
    pairs: &[(usize, usize)],
    tally: &mut Tally,
) -> Result<()> {
    let admin = database.admin().await?;
    let store = database.store().await?;
    let name = "methods of the ports";
    tally.add(ports::attack(name, &store, &admin, population, pairs).await?);
    let mut hints = connections::hints(database, &store, population).await?;
    hints.tried_method("Wakeups::subscribe");
    drop(store.subscribe());
    tally.add(hints);
    store.close().await?;
    tally.add(with_defaults(database, &admin, population).await?);
    tally.add(connections::pooled(database, population).await?);
    // Last: it stores commands under the ids of others' commands.
    let store = database.store().await?;
    tally.add(engine::attack(&store, population, pairs).await?);
    store.close().await?;
    Ok(())
}

/// The same where every connection begins with another tenant and another search path, as one that
/// somebody left so would.
async fn with_defaults(database: &Database<'_>, admin: &Session, population: &Population) -> Result<Attack> {
    let (login, name) = (database.role(LOGIN), &database.name);
    let set = |setting: &str| format!("ALTER ROLE {login} IN DATABASE {name} {setting}");
    admin.run(&set(&format!("SET underlay.tenant = '{}'", population.tenants[1].id))).await?;
    admin.run(&set("SET search_path = pg_temp, public")).await?;
    let store = database.store().await?;
    let what = "methods of the ports, on connections that name another";
    let attack = ports::attack(what, &store, admin, population, &PAIRS_OF_DEFAULTS).await?;
    store.close().await?;
    admin.run(&set("RESET ALL")).await?;
    Ok(attack)
}

/// A way to attack the database itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Rights,
    Tables,
    Statements,
    Logins,
    Conditions,
    Oracles,
    Prepared,
    Copies,
    Reuse,
    Shadows,
    Dumps,
}

impl Part {
    const ALL: [Self; 11] = [
        Self::Rights,
        Self::Tables,
        Self::Statements,
        Self::Logins,
        Self::Conditions,
        Self::Oracles,
        Self::Prepared,
        Self::Copies,
        Self::Reuse,
        Self::Shadows,
        Self::Dumps,
    ];
}

/// Attacks the database itself; `settle` is what a transaction begins with.
async fn attack_sql(
    database: &Database<'_>,
    population: &Population,
    parts: &[Part],
    all: bool,
    settle: Settle<'_>,
    tally: &mut Tally,
) -> Result<()> {
    let admin = database.admin().await?;
    for part in parts {
        tally.add(match part {
            Part::Rights => rights::attack(database, &admin).await?,
            Part::Tables => {
                let settings = tables::settings(population, all);
                tables::attack(database, &admin, population, &settings, &EVERYBODY).await?
            }
            Part::Statements => statements::attack(database, &admin, population).await?,
            Part::Logins => logins::attack(database).await?,
            Part::Conditions => tricks::leaky(database, &admin, population).await?,
            Part::Oracles => tricks::oracles(database, &admin, population).await?,
            Part::Prepared => tricks::prepared(database, population).await?,
            Part::Copies => tricks::copies(database, &admin, population).await?,
            Part::Reuse => connections::reused(database, population, settle).await?,
            Part::Shadows => tricks::shadows(database, population).await?,
            Part::Dumps => dump::attack(database, population).await?,
        });
    }
    Ok(())
}
