//! The documentation of a port and its suite say the same.

use underlay_testkit::{
    Case, archive, cache, checkpoints, entities, event_bus, event_store, leases, mail, read_models,
    retention, scheduler, schedules, snapshots, work_queue,
};

const EVENT_STORE: &str = include_str!("../../../underlay-core/src/ports/event_store.rs");
const READ_MODELS: &str = include_str!("../../../underlay-core/src/ports/read_models.rs");
const ENTITIES: &str = include_str!("../../../underlay-core/src/ports/entities.rs");
const SNAPSHOTS: &str = include_str!("../../../underlay-core/src/ports/snapshots.rs");
const ARCHIVE: &str = include_str!("../../../underlay-core/src/ports/archive.rs");
const CACHE: &str = include_str!("../../../underlay-core/src/ports/cache.rs");
const LEASES: &str = include_str!("../../../underlay-core/src/ports/leases.rs");
const MAIL: &str = include_str!("../../../underlay-core/src/ports/mail/mod.rs");
const EVENT_BUS: &str = include_str!("../../../underlay-core/src/ports/event_bus.rs");
const CHECKPOINTS: &str = include_str!("../../../underlay-core/src/ports/checkpoints.rs");
const SCHEDULES: &str = include_str!("../../../underlay-core/src/ports/schedules.rs");
const SCHEDULER: &str = include_str!("../../../underlay-core/src/ports/scheduler.rs");
const WORK_QUEUE: &str = include_str!("../../../underlay-core/src/ports/work_queue.rs");

/// A sentence as the documentation has it: number, text, name of the case.
type Sentence = (u32, String, String);

/// The numbered sentences in the documentation of a trait.
fn sentences(source: &str, port: &str) -> Vec<Sentence> {
    let end = source.find(&format!("\npub trait {port}:")).expect("the port is in its file");
    let docs: Vec<&str> = source[..end]
        .lines()
        .rev()
        .skip_while(|line| !line.starts_with("///"))
        .take_while(|line| line.starts_with("///"))
        .collect();
    let text =
        docs.iter().rev().map(|line| line.trim_start_matches("///").trim()).collect::<Vec<_>>().join("\n");
    text.lines().filter_map(sentence).collect()
}

/// Reads a line such as ``1. *A sentence.* `its_case` ``.
fn sentence(line: &str) -> Option<Sentence> {
    let (number, rest) = line.split_once(". *")?;
    let (text, case) = rest.rsplit_once("* `")?;
    Some((number.parse().ok()?, text.to_owned(), case.strip_suffix('`')?.to_owned()))
}

fn assert_suite_follows_docs(cases: &[Case], source: &str, port: &str, count: usize) {
    let documented = sentences(source, port);
    assert_eq!(documented.len(), count, "the sentences of {port}: {documented:#?}");
    let tested: Vec<Sentence> =
        cases.iter().map(|case| (case.number, case.sentence.to_owned(), case.name.to_owned())).collect();
    assert_eq!(tested, documented, "the suite of {port} is not what its documentation says");
}

#[test]
fn the_event_store_suite_follows_its_contract() {
    assert_suite_follows_docs(event_store::CASES, EVENT_STORE, "EventStore", 29);
}

#[test]
fn the_read_models_suite_follows_its_contract() {
    assert_suite_follows_docs(read_models::CASES, READ_MODELS, "ReadModels", 27);
}

#[test]
fn the_entities_suite_follows_its_contract() {
    assert_suite_follows_docs(entities::CASES, ENTITIES, "Entities", 26);
}

#[test]
fn the_snapshots_suite_follows_its_contract() {
    assert_suite_follows_docs(snapshots::CASES, SNAPSHOTS, "Snapshots", 3);
}

#[test]
fn the_archive_suite_follows_its_contract() {
    assert_suite_follows_docs(archive::CASES, ARCHIVE, "Archive", 8);
}

#[test]
fn the_retention_suite_follows_its_contract() {
    assert_suite_follows_docs(retention::CASES, ARCHIVE, "Retention", 4);
}

#[test]
fn the_leases_suite_follows_its_contract() {
    assert_suite_follows_docs(leases::CASES, LEASES, "Leases", 9);
}

#[test]
fn the_mail_suite_follows_its_contract() {
    assert_suite_follows_docs(mail::CASES, MAIL, "Mail", 10);
}

#[test]
fn the_event_bus_suite_follows_its_contract() {
    assert_suite_follows_docs(event_bus::CASES, EVENT_BUS, "EventBus", 13);
}

#[test]
fn the_work_queue_suite_follows_its_contract() {
    assert_suite_follows_docs(work_queue::CASES, WORK_QUEUE, "WorkQueue", 27);
}

#[test]
fn the_scheduler_suite_follows_its_contract() {
    assert_suite_follows_docs(scheduler::CASES, SCHEDULER, "Scheduler", 11);
}

#[test]
fn the_schedules_suite_follows_its_contract() {
    assert_suite_follows_docs(schedules::CASES, SCHEDULES, "Schedules", 8);
}

#[test]
fn the_cache_suite_follows_its_contract() {
    assert_suite_follows_docs(cache::CASES, CACHE, "Cache", 13);
}

#[test]
fn the_checkpoints_suite_follows_its_contract() {
    assert_suite_follows_docs(checkpoints::CASES, CHECKPOINTS, "Checkpoints", 5);
}

#[test]
fn sentences_count_from_one() {
    for cases in [
        event_store::CASES,
        read_models::CASES,
        entities::CASES,
        snapshots::CASES,
        archive::CASES,
        retention::CASES,
        leases::CASES,
        mail::CASES,
        event_bus::CASES,
        work_queue::CASES,
        scheduler::CASES,
        schedules::CASES,
        checkpoints::CASES,
        cache::CASES,
    ] {
        let numbers: Vec<u32> = cases.iter().map(|case| case.number).collect();
        assert_eq!(numbers, (1..=cases.len() as u32).collect::<Vec<_>>());
    }
}
