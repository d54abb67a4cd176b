use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use serde::Serialize;
use underlay_core::limits::{PAGE_EVENTS_MAX, PAGE_ROWS_MAX};
use underlay_core::{Error, EventStore, EventType, LogFilter, LogScope, Position, Query, SchemaVersion};
use underlay_runtime::{Registry, Request, StoredRepository};

use super::{App, print_list, print_table};
use crate::events_lock::{LockCheck, check_events_lock};
use crate::{Exit, ExitError, Service};

pub(super) fn command() -> clap::Command {
    clap::Command::new("check")
        .about("Check that the code can read what is stored")
        .arg(
            Arg::new("events")
                .long("events")
                .action(ArgAction::SetTrue)
                .help("Decode one stored event of every type, version and encoding, of every tenant"),
        )
        .arg(
            Arg::new("lock")
                .long("lock")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Compare the events that the code declares with this file, usually events.lock"),
        )
        .arg(
            Arg::new("update")
                .long("update")
                .action(ArgAction::SetTrue)
                .requires("lock")
                .help("Add new types and versions to the lock. A type that changed is still an error"),
        )
        .arg(
            Arg::new("entities").long("entities").action(ArgAction::SetTrue).help(
                "Prepare the tables of entities, and read every entity of the tenant as the code has it",
            ),
        )
        .group(clap::ArgGroup::new("what").args(["events", "lock", "entities"]).required(true).multiple(true))
}

/// Whether stored events are to be checked; the lock is held against the code alone.
pub(super) fn needs_store(matches: &ArgMatches) -> bool {
    matches.get_flag("events") || needs_entities(matches)
}

/// Whether stored entities are to be checked.
pub(super) fn needs_entities(matches: &ArgMatches) -> bool {
    matches.get_flag("entities")
}

pub(super) async fn run(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    if matches.get_flag("events") {
        check_events(app).await?;
    }
    if needs_entities(matches) {
        check_entities(app).await?;
    }
    Ok(())
}

/// Holds the code against the lock, where one is named.
pub(super) fn check_lock(service: &Service, matches: &ArgMatches) -> Result<(), ExitError> {
    let Some(path) = matches.get_one::<PathBuf>("lock") else { return Ok(()) };
    let update = matches.get_flag("update");
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(ExitError::failed(format!("{shown}: {error}"))),
    };
    match check_events_lock(service.registry(), &text).map_err(ExitError::invalid)? {
        LockCheck::Fits => Ok(writeln!(super::out(), "{shown}: every event type is as it was released")?),
        LockCheck::Grows { new, text } if update => {
            std::fs::write(path, text).map_err(|error| ExitError::failed(format!("{shown}: {error}")))?;
            Ok(writeln!(super::out(), "{shown}: added {}", new.join(", "))?)
        }
        LockCheck::Grows { new, .. } => {
            Err(ExitError::invalid(format!("{shown} lacks {}; add them with --update", new.join(", "))))
        }
        LockCheck::Broken(broken) => Err(ExitError::invalid(format!("{shown}:\n  {}", broken.join("\n  ")))),
    }
}

#[derive(Serialize)]
struct Checked {
    #[serde(rename = "type")]
    event_type: EventType,
    schema_version: SchemaVersion,
    position: Position,
    count: u64,
    problem: Option<String>,
}

/// One stored event of every type, version and encoding: a type that can be read may be stored sealed too.
async fn checked_events(store: &dyn EventStore, registry: &Registry) -> Result<Vec<Checked>, Error> {
    let mut checked: BTreeMap<(EventType, SchemaVersion, String), Checked> = BTreeMap::new();
    let mut after = Position::START;
    loop {
        let page =
            store.read_all(&LogScope::EveryTenant, after, &LogFilter::default(), PAGE_EVENTS_MAX).await?;
        for event in page.events {
            let encoding = event.payload.encoding().to_owned();
            let entry = checked.entry((event.event_type.clone(), event.schema_version, encoding));
            entry.and_modify(|checked| checked.count += 1).or_insert_with(|| Checked {
                problem: match registry.decode_event(&event) {
                    Ok(true) => None,
                    Ok(false) => Some(format!("aggregate {:?} does not declare it", event.stream.category())),
                    Err(error) => Some(error.reason),
                },
                event_type: event.event_type,
                schema_version: event.schema_version,
                position: event.position,
                count: 1,
            });
        }
        after = page.scanned_to;
        if page.at_head {
            return Ok(checked.into_values().collect());
        }
    }
}

async fn check_events(app: &App) -> Result<(), ExitError> {
    let checked = checked_events(&*app.store, app.engine.registry()).await?;
    if app.json {
        print_list(&checked)?;
    } else {
        let row = |checked: &Checked| {
            vec![
                checked.event_type.to_string(),
                checked.schema_version.to_string(),
                checked.count.to_string(),
                checked.position.to_string(),
                checked.problem.clone().unwrap_or_else(|| "can be read".to_owned()),
            ]
        };
        print_table(&["type", "version", "events", "first at", "result"], checked.iter().map(row).collect())?;
    }
    match checked.iter().filter(|checked| checked.problem.is_some()).count() {
        0 => Ok(()),
        bad => {
            Err(ExitError { exit: Exit::Failed, message: format!("{bad} stored event types cannot be read") })
        }
    }
}

#[derive(Serialize)]
struct CheckedEntities {
    entity: String,
    store: String,
    /// How many were read before the first that cannot be.
    count: u64,
    problem: Option<String>,
}

/// Reads the entities of a kind, until one cannot be read.
async fn checked_entities(entities: &StoredRepository, count: &mut u64) -> Result<(), Error> {
    let mut query = Query::default().limit(PAGE_ROWS_MAX);
    loop {
        let page = entities.query(&query).await?;
        for entity in page.entities {
            entities.check(entity)?;
            *count += 1;
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(()),
        }
    }
}

async fn check_entities(app: &App) -> Result<(), ExitError> {
    let repositories = app.engine.repositories(&Request::new(app.tenant.clone()));
    let mut checked = Vec::new();
    for (entity, store) in app.engine.entity_places() {
        let mut count = 0;
        let problem = match checked_entities(&repositories.named(&entity)?, &mut count).await {
            Ok(()) => None,
            Err(error @ (Error::Damaged(_) | Error::EntityChanged { .. })) => Some(error.to_string()),
            Err(error) => return Err(error.into()),
        };
        checked.push(CheckedEntities { entity, store, count, problem });
    }
    if app.json {
        print_list(&checked)?;
    } else {
        let row = |checked: &CheckedEntities| {
            let result = checked.problem.clone().unwrap_or_else(|| "can be read".to_owned());
            vec![checked.entity.clone(), checked.store.clone(), checked.count.to_string(), result]
        };
        print_table(&["entity", "kept in", "entities", "result"], checked.iter().map(row).collect())?;
    }
    match checked.iter().filter(|checked| checked.problem.is_some()).count() {
        0 => Ok(()),
        bad => {
            Err(ExitError { exit: Exit::Failed, message: format!("{bad} kinds of entities cannot be read") })
        }
    }
}

#[cfg(test)]
mod tests {
    use underlay_core::memory::MemoryEventStore;
    use underlay_core::{Commit, CommitId, ExpectedVersion, Json, NewEvent, Payload, StreamName, TenantId};

    use super::*;

    #[tokio::test]
    async fn an_encoding_that_cannot_be_read_does_not_hide_behind_plain_events_of_its_type() {
        let store = MemoryEventStore::default();
        let sealed = Payload::encoded(Json::encode("c2VhbGVk").unwrap(), "aes-gcm", Some("k")).unwrap();
        for payload in [Payload::from(Json::encode(&1).unwrap()), sealed] {
            let event = NewEvent::new(EventType::new("noted").unwrap(), SchemaVersion(1), payload);
            let stream = StreamName::parse("note-1").unwrap();
            let commit = Commit::new(CommitId::draw()).append(stream, ExpectedVersion::Any, vec![event]);
            store.commit(&TenantId::new("acme").unwrap(), commit).await.unwrap();
        }
        let checked = checked_events(&store, &Registry::default()).await.unwrap();
        assert_eq!(checked.iter().map(|checked| checked.count).collect::<Vec<_>>(), [1, 1]);
    }
}
