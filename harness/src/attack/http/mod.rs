//! Many tenants behind one HTTP service: every address with every id, stream, key, cursor, position and
//! version of another tenant, and every way to name a tenant beside one's token.
//!
//! A try is a pair: what another tenant has, and what nobody has, in the same request. The
//! two answers are the same in status, headers and body, but for what was asked with, and neither takes
//! longer. The addresses are taken from the router: one that nobody attacks is told as no attack. With
//! `--compare` [mistakes] are put before the router, and each of them has to be found.

mod door;
mod keepsakes;
mod letters;
mod mistakes;
mod site;
mod tries;

use std::sync::Arc;

use underlay_core::memory::{
    MemoryCheckpoints, MemoryEntities, MemoryEventStore, MemoryReadModels, MemorySchedules, MemorySnapshots,
};
use underlay_core::{Entities, SystemClock};
use underlay_runtime::{Ports, WorkPorts};

use self::site::Site;
use super::holes::Found;
use super::tally::Attack;
use crate::Result;

/// Attacks a service on a store.
pub(super) async fn attack(name: &'static str, ports: Ports, entities: Arc<dyn Entities>) -> Result<Attack> {
    attack_one(name, ports, entities, None).await
}

/// Attacks services with mistakes, each on a store in memory; `only` names some of them.
pub(super) async fn find_mistakes(only: &[String]) -> Result<Vec<Found>> {
    let chosen = |name: &str| only.is_empty() || only.iter().any(|part| name.contains(part));
    let mut found = Vec::new();
    for mistake in mistakes::MISTAKES.iter().filter(|mistake| chosen(mistake.name)) {
        found.push(find(mistake).await?);
    }
    Ok(found)
}

/// What the attack finds of a mistake.
async fn find(mistake: &'static mistakes::Mistake) -> Result<Found> {
    let (ports, entities) = in_memory();
    let attack = attack_one(mistake.name, ports, entities, Some(mistake)).await?;
    let by = "HTTP: every address";
    let missed_by = if attack.leaks.count == 0 { vec![by] } else { Vec::new() };
    Ok(Found { name: mistake.name, leaks: attack.leaks.count, by: vec![by], missed_by })
}

fn in_memory() -> (Ports, Arc<dyn Entities>) {
    let clock = Arc::new(SystemClock);
    let entities = MemoryEntities::default();
    let store = Arc::new(MemoryEventStore::new(clock.clone()).with_entities(entities.clone()));
    let work = WorkPorts {
        queue: store.clone(),
        schedules: Arc::new(MemorySchedules::default()),
        checkpoints: Arc::new(MemoryCheckpoints::default()),
        leases: None,
        scheduler: None,
    };
    let ports = Ports {
        work: Some(work),
        store: store.clone(),
        read_models: Arc::new(MemoryReadModels::default()),
        wakeups: store,
        snapshots: Some(Arc::new(MemorySnapshots::default())),
        leases: None,
        clock,
    };
    (ports, Arc::new(entities))
}

async fn attack_one(
    name: &'static str,
    ports: Ports,
    entities: Arc<dyn Entities>,
    mistake: Option<&'static mistakes::Mistake>,
) -> Result<Attack> {
    let site = Site::open(ports, entities, mistake).await?;
    let mut attack = Attack::new(name);
    let attacked = tries::attack(&site, &mut attack).await;
    site.close().await;
    attacked.map(|()| attack)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_leaks_on_a_store_in_memory() {
        let (ports, entities) = in_memory();
        let attack = attack("HTTP", ports, entities).await.unwrap();
        assert_eq!(attack.leaks.count, 0, "{:#?}", attack.leaks.examples);
        assert!(attack.works(), "{:#?}", attack.broken.examples);
        assert!(attack.tries > 100, "{} tries", attack.tries);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_mistake_is_found() {
        for mistake in &mistakes::MISTAKES {
            let found = find(mistake).await.unwrap();
            assert!(found.leaks > 0, "not found: {}", mistake.name);
        }
    }
}
