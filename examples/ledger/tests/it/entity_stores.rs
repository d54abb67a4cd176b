//! The same tests of entities on each store there is: a line for each.

use std::any::Any;

use ledger::member::{Member, MemberCommand, MemberRefusal, Profile, join};
use ledger::money::Money;
use ledger::rate::{Rate, RateRow, worth};
use serde_json::{Value, json};
use underlay::adapter::OptionValues;
use underlay::domain::Direction;
use underlay::{
    Adapters, Decimal, Engine, EntityId, EntityVersion, Error, EventStore, ExecuteError, Query, Repository,
    Request, Store, StreamName, TenantId,
};

use crate::entities::{of, pair, rate};
use crate::http::Client;
use crate::program::Ledger;

/// Where the ledger of a test keeps its entities.
struct Place {
    ledger: Ledger,
    /// The store that has them, where it is another than that of the log.
    elsewhere: Option<String>,
    /// Whether they are there after the process.
    outlives: bool,
    /// What ends with the test, such as a server.
    _held: Option<Box<dyn Any>>,
}

impl Place {
    fn memory() -> Option<Self> {
        let ledger = Ledger { database: "memory:".to_owned(), ..Ledger::new() };
        Some(Self { outlives: false, ..Self::of(ledger) })
    }

    fn sqlite() -> Option<Self> {
        Some(Self::of(Ledger::new()))
    }

    /// Entities in a file, and the log in another.
    fn sqlite_elsewhere() -> Option<Self> {
        let ledger = Ledger::new();
        let elsewhere = format!("sqlite:{}", ledger.directory.path().join("entities.db").display());
        Some(Self { elsewhere: Some(elsewhere), ..Self::of(ledger) })
    }

    #[cfg(feature = "postgres")]
    fn postgres() -> Option<Self> {
        let place = crate::postgres::Place::new()?;
        let ledger = Ledger::at(place.address());
        Some(Self { _held: Some(Box::new(place)), ..Self::of(ledger) })
    }

    #[cfg(feature = "postgres")]
    fn postgres_elsewhere() -> Option<Self> {
        let place = crate::postgres::Place::new()?;
        Some(Self {
            elsewhere: Some(place.address()),
            _held: Some(Box::new(place)),
            ..Self::of(Ledger::new())
        })
    }

    #[cfg(feature = "mongodb")]
    fn mongodb() -> Option<Self> {
        let name = format!("ledger_test_{}", uuid::Uuid::now_v7().simple());
        let (address, server) = match std::env::var(servers::MONGODB_VARIABLE) {
            Ok(address) => (address, None),
            Err(_) => {
                let server = found(servers::Mongodb::start())?;
                (server.address_of("underlay"), Some(server))
            }
        };
        // The path of an address of MongoDB is the database.
        let (place, options) = address.split_once('?').unwrap_or((&address, ""));
        let host = place.trim_start_matches("mongodb://").split('/').next().unwrap_or_default();
        Some(Self {
            elsewhere: Some(format!("mongodb://{host}/{name}?{options}")),
            _held: Some(Box::new(server)),
            ..Self::of(Ledger::new())
        })
    }

    #[cfg(feature = "redis")]
    fn redis() -> Option<Self> {
        let prefix = format!("t{}", uuid::Uuid::now_v7().simple());
        let (address, server) = match std::env::var(servers::REDIS_VARIABLE) {
            Ok(address) => (address, None),
            Err(_) => {
                let server = found(servers::Redis::start())?;
                (server.address(), Some(server))
            }
        };
        Some(Self {
            elsewhere: Some(format!("{address}?prefix={prefix}")),
            _held: Some(Box::new(server)),
            ..Self::of(Ledger::new())
        })
    }

    /// Beside the log.
    fn of(ledger: Ledger) -> Self {
        Self { ledger, elsewhere: None, outlives: true, _held: None }
    }

    /// Runs a test on an engine over these stores.
    fn with_engine<F: Future<Output = ()>>(self, test: impl FnOnce(Engine, bool) -> F) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut store = Store::open(&self.ledger.database).await.unwrap();
            if let Some(elsewhere) = &self.elsewhere {
                let backend = Adapters::default().open(elsewhere, &OptionValues::new()).await.unwrap();
                store = store.with_entities("another store", &[], backend).unwrap();
            }
            let engine = ledger::service().open(&store).unwrap();
            test(engine, self.elsewhere.is_some()).await;
            store.close().await.unwrap();
        });
    }

    /// Runs the test of a whole service over these stores.
    fn served(self) {
        let elsewhere = self.elsewhere.iter().flat_map(|address| ["--entities-store", address]);
        let arguments: Vec<&str> = elsewhere.collect();
        entities_over_http(&self.ledger, &arguments, self.outlives);
    }
}

#[cfg(any(feature = "mongodb", feature = "redis"))]
fn found<T>(server: Result<T, servers::Missing>) -> Option<T> {
    server.map_err(|missing| missing.skip_test()).ok()
}

/// The tests of one store.
macro_rules! on_store {
    ($store:ident) => {
        mod $store {
            use super::Place;

            #[test]
            fn entities_are_kept_and_found() {
                if let Some(place) = Place::$store() {
                    place.with_engine(super::kept_and_found);
                }
            }

            #[test]
            fn entities_are_changed_with_events_or_not_at_all() {
                if let Some(place) = Place::$store() {
                    place.with_engine(super::changed_with_events);
                }
            }

            #[test]
            fn entities_are_served() {
                if let Some(place) = Place::$store() {
                    place.served();
                }
            }
        }
    };
}

on_store!(memory);
on_store!(sqlite);
on_store!(sqlite_elsewhere);
#[cfg(feature = "postgres")]
on_store!(postgres);
#[cfg(feature = "postgres")]
on_store!(postgres_elsewhere);
#[cfg(feature = "mongodb")]
on_store!(mongodb);
#[cfg(feature = "redis")]
on_store!(redis);

fn request(tenant: &str) -> Request {
    Request::new(TenantId::new(tenant).unwrap())
}

/// Rates are created, found and paged, each tenant its own.
async fn kept_and_found(engine: Engine, _: bool) {
    let (acme, zeta) = (request("acme"), request("zeta"));
    let rates: Repository<Rate> = engine.repository(&acme).unwrap();
    let to_usd = rates.create(rate("EUR", "USD", "1.08")).await.unwrap();
    for (base, value) in [("CHF", "1.13"), ("GBP", "1.27")] {
        rates.create(rate(base, "USD", value)).await.unwrap();
    }
    assert_eq!(rates.get(pair("EUR", "USD")).await.unwrap(), to_usd);
    let twice = rates.create(rate("EUR", "USD", "2")).await.unwrap_err();
    assert_eq!(twice.to_string(), "conflict on rate EUR@USD: expected none, found version 1");
    let money =
        |amount: &str, of_what: &str| Money { amount: amount.parse().unwrap(), commodity: of(of_what) };
    let purse = [money("10", "EUR"), money("3", "USD"), money("100", "GBP")];
    assert_eq!(worth(&rates, &purse, &of("USD")).await.unwrap(), Some("140.80".parse().unwrap()));
    assert_eq!(worth(&rates, &purse, &of("JPY")).await.unwrap(), None);
    let dear = RateRow::VALUE.gt(Decimal::new(11, 1)).and(RateRow::SOURCE.is_null());
    assert_eq!(rates.count(dear).await.unwrap(), 2);
    let cheapest = Query::default().sort(RateRow::VALUE.name(), Direction::Ascending).limit(2);
    let page = rates.paginate(&cheapest, None).await.unwrap();
    let names = |found: &[Rate]| found.iter().map(|rate| rate.pair.to_key()).collect::<Vec<_>>();
    assert_eq!(names(&page.items), ["EUR@USD", "CHF@USD"]);
    let next = rates.paginate(&cheapest, page.next.as_deref()).await.unwrap();
    assert_eq!((names(&next.items), next.next), (vec!["GBP@USD".to_owned()], None));
    // Another tenant has rates of its own.
    let theirs: Repository<Rate> = engine.repository(&zeta).unwrap();
    assert!(theirs.list(None).await.unwrap().items.is_empty());
}

/// A profile and the event of its member are stored together, or neither is. Where profiles are kept elsewhere than the
/// log, they are refused together before anything is stored.
async fn changed_with_events(engine: Engine, is_elsewhere: bool) {
    let (acme, zeta) = (request("acme"), request("zeta"));
    let member = |name: &str| name.parse::<ledger::member::MemberId>().unwrap();
    let profiles: Repository<Profile> = engine.repository(&acme).unwrap();
    let versions = || async {
        let streams = ["member-ann", "member-bob"].map(|name| StreamName::parse(name).unwrap());
        let versions = engine.store().versions(&acme.tenant, &streams).await.unwrap();
        versions.iter().map(|version| version.0).collect::<Vec<_>>()
    };
    let ann = Profile::new(member("ann"), "Ann");
    if is_elsewhere {
        let told = join(&engine, &acme, ann, "ann@example.com").await.unwrap_err().to_string();
        assert!(told.contains("profile is kept in") && told.contains("nothing was stored"), "{told}");
        assert_eq!(versions().await, [0, 0]);
        assert!(!profiles.exists(member("ann")).await.unwrap());
        return;
    }
    join(&engine, &acme, ann, "ann@example.com").await.unwrap();
    let refused = join(&engine, &acme, Profile::new(member("bob"), "Bob"), "no address").await.unwrap_err();
    assert!(matches!(refused, ExecuteError::Refused(MemberRefusal::NoAddress { .. })), "{refused}");
    let taken =
        join(&engine, &acme, Profile::new(member("bob"), "Ann"), "bob@example.com").await.unwrap_err();
    assert!(
        matches!(&taken, ExecuteError::Failed(Error::RuleViolation(rule)) if rule.contains("nickname")),
        "{taken}"
    );
    assert_eq!(versions().await, [1, 0]);
    assert!(!profiles.exists(member("bob")).await.unwrap());
    join(&engine, &zeta, Profile::new(member("bob"), "Ann"), "bob@example.com").await.unwrap();

    // A conflict of the profile keeps the event away, and a repeat changes nothing.
    let seen = profiles.get(member("ann")).await.unwrap();
    let german = profiles.update(Profile { language: "de".to_owned(), ..seen.clone() }).await.unwrap();
    let command = || MemberCommand::SendLink { email: None };
    let keyed = acme.clone().with_key("again");
    let mut unit = engine.unit_of_work(&keyed);
    unit.save(Profile { about: Some("old".to_owned()), ..seen }).unwrap();
    let conflict = unit.commit_with::<Member>(&member("ann"), command()).await.unwrap_err();
    assert_eq!(conflict.to_string(), "conflict on profile ann: expected version 1, found 2");
    assert_eq!(versions().await, [1, 0]);
    for (repeated, version) in [(false, 3), (true, 3)] {
        let mut unit = engine.unit_of_work(&keyed);
        let profile = unit.get::<Profile>(member("ann")).await.unwrap();
        unit.save(Profile { about: Some(format!("version {version}, {repeated}")), ..profile }).unwrap();
        let executed = unit.commit_with::<Member>(&member("ann"), command()).await.unwrap();
        assert_eq!(executed.repeated, repeated);
        let stored = profiles.get(member("ann")).await.unwrap();
        assert_eq!((stored.version, stored.language), (EntityVersion(version), german.language.clone()));
        assert_eq!(stored.about.as_deref(), Some("version 3, false"));
    }
    assert_eq!(versions().await, [2, 0]);
}

/// Over HTTP, with a restart in between where the store outlives the process.
pub(crate) fn entities_over_http(ledger: &Ledger, arguments: &[&str], outlives: bool) {
    let (serving, address) = ledger.serve_with(arguments);
    let client = Client::new(address);
    let to_usd = |value: &str| json!({ "id": "EUR@USD", "base": "EUR", "quote": "USD", "value": value });
    let (status, created) = client.post("entities/rate", &[], &to_usd("1.08"));
    assert_eq!(status, 201, "{created}");
    assert_eq!(
        (&created["version"], &created["value"], &created["source"]),
        (&json!(1), &json!("1.08"), &Value::Null)
    );
    assert_eq!(client.post("entities/rate", &[], &to_usd("2")).0, 409);
    // What is no rate is refused, though its columns would take it.
    for (wrong, told) in [
        (to_usd("0"), "not more than zero"),
        (json!({ "id": "EUR@CHF", "base": "EUR", "quote": "USD", "value": "1" }), "BASE@QUOTE"),
    ] {
        let (status, refused) = client.post("entities/rate", &[], &wrong);
        assert!(status == 400 && refused["detail"].as_str().unwrap().contains(told), "{status}: {refused}");
    }
    let change = json!({ "base": "EUR", "quote": "USD", "value": "1.09" });
    assert_eq!(client.put("entities/rate/EUR@USD", &[], &change).0, 428);
    assert_eq!(client.put("entities/rate/EUR@USD", &[("If-Match", "\"7\"")], &change).0, 412);
    let (status, updated) = client.put("entities/rate/EUR@USD", &[("If-Match", "\"1\"")], &change);
    assert_eq!((status, &updated["version"]), (200, &json!(2)));
    let profile = |nickname: &str| json!({ "nickname": nickname, "language": "en" });
    let new = [("If-None-Match", "*")];
    assert_eq!(client.put("entities/profile/ann", &new, &profile("Ann")).0, 201);
    assert_eq!(client.put("entities/profile/ann", &new, &profile("Ann")).0, 412);
    let (status, taken) = client.put("entities/profile/bob", &new, &profile("Ann"));
    assert_eq!((status, &taken["type"]), (422, &json!("urn:underlay:problem:rule-violation")));
    let template = json!({ "id": "monthly", "language": "en", "text": "{account}" });
    assert_eq!(client.post("entities/statement_template", &[], &template).0, 201);

    let (_other, client) = if outlives {
        drop(serving);
        let (serving, address) = ledger.serve_with(arguments);
        (serving, Client::new(address))
    } else {
        (serving, client)
    };
    assert_eq!(client.get("entities/rate/EUR@USD"), (200, updated));
    for base in ["CHF", "GBP", "JPY"] {
        let rate = json!({ "id": format!("{base}@USD"), "base": base, "quote": "USD", "value": "1", "source": "bank" });
        assert_eq!(client.post("entities/rate", &[], &rate).0, 201);
    }
    let mut seen = Vec::new();
    let asked = "quote=USD&condition=%7B%22not%22%3A%7B%22column%22%3A%22base%22%2C%22eq%22%3A%22JPY%22%7D%7D&sort=-base&limit=2";
    let mut page = client.get(&format!("entities/rate?{asked}&count=true")).1;
    assert_eq!(page["count"], 3, "{page}");
    loop {
        seen.extend(page["entities"].as_array().unwrap().iter().map(|rate| rate["base"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        page = client.get(&format!("entities/rate?{asked}&cursor={next}")).1;
    }
    assert_eq!(seen, [json!("GBP"), json!("EUR"), json!("CHF")]);
}
