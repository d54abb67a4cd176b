//! `harness attack`: every query of the product, and every table under it, with another tenant's names
//! and ids, as every role, in every way to have named no tenant or the wrong one.
//!
//! Tenants are filled through the ports, each with marks of its own; whatever an attack is told is
//! searched for the marks of others. What each role is meant to be able to do is [declared]; everything
//! else is tried. An attack also shows that it is one: with its own tenant it gets what it should.
//! With `--compare` it is shown to find what it looks for: [holes] are made in copies of the database.

mod beside;
mod connections;
mod declared;
mod dump;
mod engine;
mod entities;
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
mod witness;

use std::time::Instant;

use clap::Args;

use self::beside::{Beside, Server};
use self::connections::Begin;
use self::place::{EVERYBODY, Installation, LOGIN, Place};
use self::population::Population;
use self::report::Report;
use self::session::Session;
use self::tally::{Attack, Tally};
use crate::Result;
use crate::run_folder::RunFolder;
use crate::subject::{self, OpenStore, StoreKind, Subject, Way};

/// The stores that can be attacked. What is below the ports is attacked where it is a database.
const STORES: &[StoreKind] = &[StoreKind::Postgres, StoreKind::Sqlite, StoreKind::Memory];

/// Attacks the walls between tenants.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The store that is attacked.
    #[arg(long, default_value_t = StoreKind::Postgres, value_parser = StoreKind::among(STORES))]
    store: StoreKind,
    /// Keeps entities, and the rows of views where it keeps any, in a server of this kind beside the log.
    #[arg(long, value_enum, conflicts_with = "compare")]
    beside: Option<Beside>,
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
    let folder = RunFolder::new(None, "attack")?;
    let subject = match arguments.store.find(folder.path()) {
        Ok(subject) => subject,
        Err(missing) => return subject::skip(&missing),
    };
    let beside = match arguments.beside.map(Beside::start).transpose() {
        Ok(beside) => beside,
        Err(missing) => return subject::skip(&missing),
    };
    let began = Instant::now();
    let (tally, holes, version) = match subject.server() {
        Some(_) if beside.is_some() => {
            return Err("what is kept beside a log is attacked with a log that has no walls of its own: \
                        --store memory or sqlite"
                .into());
        }
        Some(server) => {
            let installation = Installation::create(server).await?;
            let attacked = attack(&arguments, &installation).await;
            let removed = installation.remove().await;
            let attacked = attacked?;
            removed?;
            attacked
        }
        None if arguments.compare => {
            return Err(format!("{} has no walls below its ports to make holes in", arguments.store).into());
        }
        None => attack_without_walls(&arguments, &*subject, beside.as_ref()).await?,
    };
    let whole = !arguments.holes_alone;
    let report = Report { server: version, whole, tally, holes, seconds: began.elapsed().as_secs_f64() };
    report.print(arguments.json)?;
    folder.leave(true)?;
    Ok(report.is_good())
}

impl Arguments {
    fn pairs(&self) -> &'static [(usize, usize)] {
        if self.quick { &PAIRS[..2] } else { &PAIRS }
    }
}

type Attacked = (Tally, Vec<holes::Found>, String);

/// Attacks a database: by the ports, and by itself.
async fn attack(arguments: &Arguments, installation: &Installation<'_>) -> Result<Attacked> {
    let through_ports = installation.migrated().await?;
    let store = through_ports.store().await?;
    let mut population = population::fill(&store).await?;
    store.close().await?;
    through_ports.empty_of_sessions().await?;
    let place = installation.copy(&through_ports).await?;

    let mut tally = Tally::default();
    if !arguments.holes_alone {
        attack_ports(&through_ports, &population, arguments.pairs(), &mut tally).await?;
        let store = through_ports.store().await?;
        tally.add(http::attack(HTTP, store.ports(), store.entities()?).await?);
        store.close().await?;
    }
    let admin = place.admin().await?;
    population::add_hostile(&mut population, &admin).await?;
    let version = admin.lines("SHOW server_version").await?.join(" ");
    drop(admin);
    let all = !arguments.quick;
    let parts = if arguments.holes_alone { &[] } else { Part::ALL.as_slice() };
    attack_sql(&place, &population, parts, all, &statements::begin, &mut tally).await?;
    let mut holes = Vec::new();
    if arguments.compare {
        holes = holes::make_all(installation, &place, &population, &arguments.only).await?;
        holes.extend(http::find_mistakes(&arguments.only).await?);
    }
    Ok((tally, holes, format!("PostgreSQL {version}")))
}

/// What is tried of a store by its ports.
const PORTS: &str = "methods of the ports";
/// What is tried of a service by its addresses.
const HTTP: &str = "HTTP: every address";

/// Attacks a store whose ports are its only walls.
async fn attack_without_walls(
    arguments: &Arguments,
    subject: &dyn Subject,
    beside: Option<&Server>,
) -> Result<Attacked> {
    let place = subject.place("tenants").await?;
    let store = place.address(Way::USUAL).open().await?;
    let store = match beside {
        None => store,
        Some(server) => store.beside(server.open().await?)?,
    };
    let population = population::fill(&store).await?;
    let mut tally = Tally::default();
    let mut by_ports = ports::attack(PORTS, &store, &store, &population, arguments.pairs()).await?;
    subscribe(&store, &mut by_ports);
    tally.add(by_ports);
    tally.add(engine::attack(&store, &population, arguments.pairs()).await?);
    tally.add(http::attack(HTTP, store.ports(), store.entities()?).await?);
    store.close().await?;
    let beside = arguments.beside.map(|beside| format!(", with {beside:?} beside")).unwrap_or_default();
    Ok((tally, Vec::new(), format!("{}{beside}", subject.kind())))
}

/// A hint carries nothing, or names shards, which are no tenant's: its type says so.
fn subscribe(store: &OpenStore, attack: &mut Attack) {
    attack.tried_method("Wakeups::subscribe");
    drop(store.wakeups.subscribe());
    attack.tried_method("Wakeups::subscribe_work");
    drop(store.wakeups.subscribe_work());
}

/// Calls the product.
async fn attack_ports(
    place: &Place,
    population: &Population,
    pairs: &[(usize, usize)],
    tally: &mut Tally,
) -> Result<()> {
    let admin = place.admin().await?;
    let store = place.store().await?;
    tally.add(ports::attack(PORTS, &store, &admin, population, pairs).await?);
    let mut hints = connections::hints(place, &store, population).await?;
    subscribe(&store, &mut hints);
    tally.add(hints);
    store.close().await?;
    tally.add(with_defaults(place, &admin, population).await?);
    tally.add(connections::pooled(place, population).await?);
    // Last: it stores commands under the ids of others' commands.
    let store = place.store().await?;
    tally.add(engine::attack(&store, population, pairs).await?);
    store.close().await?;
    Ok(())
}

/// The same where every connection begins with another tenant and another search path, as one that
/// somebody left so would.
async fn with_defaults(place: &Place, admin: &Session, population: &Population) -> Result<Attack> {
    let (login, name) = (place.role(LOGIN), place.name());
    let set = |setting: &str| format!("ALTER ROLE {login} IN DATABASE {name} {setting}");
    admin.run(&set(&format!("SET underlay.tenant = '{}'", population.tenants[1].id))).await?;
    admin.run(&set("SET search_path = pg_temp, public")).await?;
    let store = place.store().await?;
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

/// Attacks the database itself; `begin` is what a transaction begins with.
async fn attack_sql(
    place: &Place,
    population: &Population,
    parts: &[Part],
    all: bool,
    begin: Begin<'_>,
    tally: &mut Tally,
) -> Result<()> {
    let admin = place.admin().await?;
    for part in parts {
        tally.add(match part {
            Part::Rights => rights::attack(place, &admin).await?,
            Part::Tables => {
                let settings = tables::settings(population, all);
                tables::attack(place, &admin, population, &settings, &EVERYBODY).await?
            }
            Part::Statements => statements::attack(place, &admin, population).await?,
            Part::Logins => logins::attack(place).await?,
            Part::Conditions => tricks::leaky(place, &admin, population).await?,
            Part::Oracles => tricks::oracles(place, &admin, population).await?,
            Part::Prepared => tricks::prepared(place, population).await?,
            Part::Copies => tricks::copies(place, &admin, population).await?,
            Part::Reuse => connections::reused(place, population, begin).await?,
            Part::Shadows => tricks::shadows(place, population).await?,
            Part::Dumps => dump::attack(place, population).await?,
        });
    }
    Ok(())
}
