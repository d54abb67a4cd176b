use clap::{Arg, ArgMatches, value_parser};
use underlay_core::{Category, EventType, LogFilter, LogScope, Position, RecordedEvent};

use super::{App, print_json, print_table};
use crate::ExitError;

/// Events that are printed at once, at most: a table of them is held whole. `export` writes all there are.
const LIMIT_MAX: u64 = 1_000_000;

pub(super) fn command() -> clap::Command {
    clap::Command::new("events")
        .about("Print the log of a tenant, in order")
        .arg(
            Arg::new("after")
                .long("after")
                .value_name("POSITION")
                .default_value("0")
                .value_parser(value_parser!(Position))
                .help("Print only events after this position"),
        )
        .arg(
            Arg::new("limit")
                .long("limit")
                .value_name("N")
                .default_value("100")
                .allow_negative_numbers(true)
                .value_parser(value_parser!(u64).range(1..=LIMIT_MAX))
                .help("Print at least N events, if there are as many; the last commit is printed whole"),
        )
        .arg(Arg::new("type").long("type").value_name("TYPE").help("Print only events of this type"))
        .arg(
            Arg::new("category")
                .long("category")
                .value_name("CATEGORY")
                .help("Print only events of streams of this category"),
        )
}

pub(super) async fn run(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let mut filter = LogFilter::default();
    if let Some(event_type) = matches.get_one::<String>("type") {
        filter.event_types.push(EventType::new(event_type)?);
    }
    if let Some(category) = matches.get_one::<String>("category") {
        filter.categories.push(Category::new(category)?);
    }
    let mut after = matches.get_one("after").copied().unwrap_or(Position::START);
    let mut left: u64 = matches.get_one("limit").copied().unwrap_or(100);
    let scope = LogScope::Tenant(app.tenant.clone());
    let mut events: Vec<RecordedEvent> = Vec::new();
    while left > 0 {
        let limit = usize::try_from(left).unwrap_or(usize::MAX).min(underlay_core::limits::PAGE_EVENTS_MAX);
        let page = app.store.read_all(&scope, after, &filter, limit).await?;
        left = left.saturating_sub(page.events.len() as u64);
        after = page.scanned_to;
        if app.json {
            page.events.iter().try_for_each(print_json)?;
        } else {
            events.extend(page.events);
        }
        if page.at_head {
            break;
        }
    }
    if app.json {
        return Ok(());
    }
    let row = |event: &RecordedEvent| {
        vec![
            event.position.to_string(),
            event.stream.to_string(),
            event.version.to_string(),
            event.event_type.to_string(),
            event.payload.text().as_str().to_owned(),
        ]
    };
    print_table(&["position", "stream", "version", "type", "payload"], events.iter().map(row).collect())
}
