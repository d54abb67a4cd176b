//! A value that the cache of a process has, found by its key, and an entity read from its copy.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use underlay_core::memory::{MemoryEntities, MemoryEventStore, MemoryReadModels};
use underlay_core::{EntityVersion, SystemClock, TenantId};
use underlay_derive::entity;
use underlay_runtime::{Engine, EngineConfig, EntityStore, EntityStores, Ports, Registry, Request, Stores};

use crate::Result;

use super::Scale;
use super::account::tenant;
use super::figure::{Aim, Figure, Sample};

pub(super) const PART: &str = "cache";

/// Values that are there.
const KEYS: usize = 10_000;
/// How often each is asked for in a run.
const PASSES: usize = 50;
/// How long they are kept.
const LONG: Duration = Duration::from_secs(60 * 60);

/// What is kept.
#[entity(crate = underlay_core, name = "rate", version = 1)]
struct Rate {
    #[id]
    id: String,
    #[version]
    version: EntityVersion,
    base: String,
    value: i64,
}

/// A map behind a lock, with the keys that the cache has.
type Bare = Mutex<HashMap<(TenantId, String), Arc<u64>>>;

pub(crate) async fn measure(scale: &Scale) -> Result<Vec<Figure>> {
    let (engine, request) = (engine()?, Request::new(tenant()?));
    let (cache, rates) = (engine.cache(&request), engine.repository::<Rate>(&request)?);
    let keys: Vec<String> = (0..KEYS).map(|number| format!("rate:{number}")).collect();
    for (number, key) in keys.iter().enumerate() {
        cache.set(key, number as u64, LONG).await?;
        let (id, base) = (key.clone(), "EUR".to_owned());
        rates.create(Rate { id, version: EntityVersion::NEW, base, value: number as i64 }).await?;
        rates.get(key.as_str()).await?;
    }
    let bare: Bare = Mutex::new(HashMap::new());
    for (number, key) in keys.iter().enumerate() {
        bare.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((tenant()?, key.clone()), Arc::new(number as u64));
    }
    let asked = || keys.iter().cycle().take(KEYS * PASSES);
    let (mut cached, mut copied, mut mapped) = (vec![], vec![], vec![]);
    for _ in 0..scale.rounds {
        let start = Instant::now();
        for key in asked() {
            black_box(cache.get::<u64>(key).await?.ok_or("the cache has lost a value")?);
        }
        cached.push(rate(start));
        let start = Instant::now();
        for key in asked() {
            black_box(rates.get(key.as_str()).await?);
        }
        copied.push(rate(start));
        // A key of two parts is made for each, as a map with such keys needs it.
        let of = tenant()?;
        let start = Instant::now();
        for key in asked() {
            let map = bare.lock().unwrap_or_else(PoisonError::into_inner);
            black_box(map.get(&(of.clone(), key.clone())).cloned().ok_or("the map has lost a value")?);
        }
        mapped.push(rate(start));
    }
    let baseline = "HashMap behind a lock";
    Ok(vec![
        // A microsecond each at most.
        Figure::new("cached value, in process", "gets/s", cached)
            .with_baseline(baseline, mapped.clone())
            .with_aim(Aim::AtLeast(1_000_000.0)),
        Figure::new("entity from its copy, in process", "gets/s", copied).with_baseline(baseline, mapped),
    ])
}

fn rate(start: Instant) -> Sample {
    Sample::of((KEYS * PASSES) as f64 / start.elapsed().as_secs_f64())
}

fn engine() -> Result<Engine> {
    let log = MemoryEventStore::default();
    let ports = Ports {
        store: Arc::new(log.clone()),
        read_models: Arc::new(MemoryReadModels::default()),
        wakeups: Arc::new(log),
        snapshots: None,
        leases: None,
        work: None,
        clock: Arc::new(SystemClock),
    };
    let entities = EntityStore::new("memory:", Arc::new(MemoryEntities::default()));
    let entities = EntityStores::new(entities).cached("rate", LONG);
    let stores = Stores { entities, ..Stores::default() };
    Ok(Engine::with_stores(ports, stores, Registry::default().entity::<Rate>(), EngineConfig::default())?)
}
