//! What is counted and traced of entities, and that no layer hides what a log keeps.

use std::sync::Arc;

use underlay_core::memory::{MemoryEntities, MemoryEventStore, MemorySpans};
use underlay_core::{Entities, EntityVersion, Error, EventStore, Query, SpanKind, SystemClock, TraceContext};
use underlay_runtime::{Engine, EngineConfig, EntityStore, EntityStores, Exposition, Request, Traces};
use underlay_testkit::{EntitiesCall, Flaky, Over};

use super::kinds::{Owner, Rate, engine, owner, rate};
use crate::bank::{Account, AccountCommand, request};

const CAME: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn over(entities: Arc<dyn Entities>, config: EngineConfig) -> Engine {
    let stores = EntityStores::new(EntityStore::new("elsewhere:", entities.clone()))
        .with("owner", EntityStore::new("elsewhere:", entities));
    engine(Arc::new(MemoryEventStore::default()), stores, config)
}

/// The samples of a metric that are not zero, with their labels.
fn told(engine: &Engine, metric: &str) -> Vec<String> {
    let mut out = Exposition::default();
    engine.write_metrics(&mut out);
    let text = out.into_text();
    let samples = text.lines().filter_map(|line| line.strip_prefix(metric)?.strip_prefix('{'));
    samples.filter(|sample| !sample.ends_with(" 0")).map(|sample| sample.replace('"', "")).collect()
}

#[tokio::test]
async fn calls_are_counted_by_entity_operation_and_outcome() {
    let flaky = Flaky::entities(MemoryEntities::default()).unavailable(EntitiesCall::Load, 1);
    let engine = over(Arc::new(Over(flaky.answer_lost(EntitiesCall::Apply, 5))), EngineConfig::default());
    let rates = engine.repository::<Rate>(&request()).unwrap();
    assert!(rates.get("a").await.unwrap_err().is_retryable());
    let stored = rates.create(rate("a", "EUR", 1)).await.unwrap();
    assert!(matches!(rates.create(rate("a", "EUR", 1)).await, Err(Error::EntityConflict(_))));
    assert_eq!(rates.count(Query::default()).await.unwrap(), 1);
    rates.list(None).await.unwrap();
    rates.list(Some("no cursor")).await.unwrap_err();
    // What is in one store is changed together, whatever names that store has.
    let mut unit = engine.unit_of_work(&request());
    unit.add(owner(1, "ann")).unwrap();
    unit.add(rate("b", "EUR", 1)).unwrap();
    unit.add(rate("c", "EUR", 1)).unwrap();
    unit.commit().await.unwrap();
    let taken = engine.repository::<Owner>(&request()).unwrap().create(owner(2, "ann")).await;
    assert!(matches!(taken, Err(Error::RuleViolation(_))));
    assert!(rates.update(stored).await.unwrap_err().to_string().contains("uncertain"));

    let mut calls = told(&engine, "underlay_entity_calls_total");
    calls.sort();
    assert_eq!(
        calls,
        [
            "entity=owner,operation=apply,outcome=done} 1",
            "entity=owner,operation=apply,outcome=rule} 1",
            "entity=rate,operation=apply,outcome=conflict} 1",
            "entity=rate,operation=apply,outcome=done} 2",
            "entity=rate,operation=apply,outcome=uncertain} 1",
            "entity=rate,operation=count,outcome=done} 1",
            "entity=rate,operation=load,outcome=unavailable} 1",
            "entity=rate,operation=query,outcome=done} 1",
        ]
    );
    let timed = told(&engine, "underlay_entity_call_duration_seconds_count");
    assert!(timed.contains(&"entity=rate,operation=apply} 4".to_owned()), "{timed:?}");
}

#[tokio::test]
async fn a_unit_whose_answer_was_lost_is_read_to_find_out() {
    for lost in 0..8 {
        let flaky = Arc::new(Over(Flaky::entities(MemoryEntities::default()).seeded(lost, 40)));
        let engine = over(flaky.clone(), EngineConfig::default());
        let mut wanted = 0;
        while wanted < 20 {
            let mut unit = engine.unit_of_work(&request());
            let Ok(found) = unit.find::<Rate>("a").await else { continue };
            // What is there now is what was stored, once, whatever the answer was.
            let stored = found.as_ref().map_or(0, |rate| rate.version.0);
            assert!(stored == wanted || stored == wanted + 1, "seed {lost}: {stored} of {wanted}");
            wanted = stored;
            match found {
                Some(found) => unit.save(Rate { value: (wanted + 1).into(), ..found }).unwrap(),
                None => unit.add(rate("a", "EUR", 1)).unwrap(),
            }
            let _looked_up_in_the_next_round = unit.commit().await;
        }
        assert!(flaky.failed() > 0, "seed {lost} fails something");
    }
}

#[tokio::test]
async fn what_is_asked_of_entities_is_a_span_of_its_request() {
    let spans = Arc::new(MemorySpans::new(100));
    let config = EngineConfig { traces: Traces::recorded_by(spans.clone()), ..EngineConfig::default() };
    let engine = over(Arc::new(MemoryEntities::default()), config);
    let traced = Request { traceparent: Some(CAME.to_owned()), ..request() };
    let rates = engine.repository::<Rate>(&traced).unwrap();
    let stored = rates.create(rate("a", "EUR", 1)).await.unwrap();
    rates.update(Rate { version: EntityVersion(7), ..stored }).await.unwrap_err();
    let mut unit = engine.unit_of_work(&traced);
    unit.get::<Rate>("a").await.unwrap();
    unit.add(owner(1, "ann")).unwrap();
    unit.add(rate("b", "EUR", 1)).unwrap();
    unit.commit().await.unwrap();

    let recorded = spans.recorded();
    let names: Vec<&str> = recorded.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["apply rate", "apply rate", "load rate", "apply owner, rate"]);
    let came = TraceContext::parse(CAME).unwrap();
    for span in &recorded {
        assert_eq!((span.context.trace_id, span.parent), (came.trace_id, Some(came.span_id)));
        assert_eq!(span.kind, SpanKind::Client);
    }
    let failed: Vec<bool> = recorded.iter().map(|span| span.failure.is_some()).collect();
    assert_eq!(failed, [false, true, false, false]);
    // What belongs to no trace begins none.
    engine.repository::<Rate>(&request()).unwrap().list(None).await.unwrap();
    assert_eq!(spans.recorded().len(), 4);
}

#[tokio::test]
async fn no_layer_hides_that_a_log_keeps_entities() {
    let entities = MemoryEntities::default();
    let log = MemoryEventStore::new(Arc::new(SystemClock)).with_entities(entities.clone());
    let stores =
        || EntityStores::new(EntityStore::of_log("the store of the log", Arc::new(entities.clone())));
    let layered: Arc<dyn EventStore> = Arc::new(Over(Flaky::new(Arc::new(log))));
    assert!(layered.keeps_entities());
    let kept = engine(layered, stores(), EngineConfig::default());
    assert!(kept.store().keeps_entities());
    let mut unit = kept.unit_of_work(&request());
    unit.add(rate("a", "EUR", 1)).unwrap();
    let deposit = || AccountCommand::Deposit { cents: 1 };
    unit.commit_with::<Account>(&"cash".to_owned(), deposit()).await.unwrap();

    let plain =
        engine(Arc::new(Over(Flaky::new(MemoryEventStore::default()))), stores(), EngineConfig::default());
    assert!(!plain.store().keeps_entities());
    let mut unit = plain.unit_of_work(&request());
    unit.add(rate("b", "EUR", 1)).unwrap();
    let refused = unit.commit_with::<Account>(&"cash".to_owned(), deposit()).await.unwrap_err().to_string();
    assert!(refused.contains("nothing was stored"), "{refused}");
}
