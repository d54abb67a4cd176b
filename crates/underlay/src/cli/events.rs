use std::io::Write;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use underlay_core::limits::PAGE_EVENTS_MAX;
use underlay_core::{
    Category, Checkpoint, CommitId, Direction, Error, EventStoreExt, EventType, LogFilter, LogScope,
    Position, RecordedEvent, StreamName, Timestamp,
};
use underlay_runtime::{Browse, EventFilter, EventQuery};
use uuid::Uuid;

use super::moments::read_past;
use super::shutdown::until_told;
use super::{App, print_json, print_table};
use crate::ExitError;

/// Events that are printed at once, at most: a table of them is held whole. `export` writes all there are.
const LIMIT_MAX: u64 = 1_000_000;
/// Events that are read at once while the log is followed.
const FOLLOWED_EVENTS_MAX: usize = 100;
/// How long to wait for a hint before the log is looked at. Another process gives none on some stores.
const FOLLOW_POLL_INTERVAL: Duration = Duration::from_millis(250);
/// How long to leave a store alone that does not answer.
const FOLLOW_PAUSE: Duration = Duration::from_secs(1);

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
        .arg(
            Arg::new("follow")
                .long("follow")
                .short('f')
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["limit", "newest", "from", "until"])
                .help(
                    "Print what happens as it happens, until ctrl-c; from now on, where --after does not say",
                ),
        )
        .arg(Arg::new("type").long("type").value_name("TYPE").help("Print only events of this type"))
        .arg(
            Arg::new("category")
                .long("category")
                .value_name("CATEGORY")
                .help("Print only events of streams of this category"),
        )
        .arg(
            Arg::new("stream")
                .long("stream")
                .value_name("STREAM")
                .value_parser(value_parser!(StreamName))
                .help("Print only events of this stream"),
        )
        .arg(Arg::new("actor").long("actor").value_name("NAME").help("Print only what this actor has done"))
        .arg(
            Arg::new("correlation")
                .long("correlation")
                .value_name("ID")
                .value_parser(value_parser!(Uuid))
                .help("Print only what followed from one request, by its correlation id"),
        )
        .arg(
            Arg::new("command")
                .long("command")
                .value_name("ID")
                .value_parser(value_parser!(Uuid))
                .help("Print only events of one command, by its id"),
        )
        .arg(moment("from").help("Print only events recorded then or later: a time, or how long ago, such as 2h"))
        .arg(moment("until").help("Print only events recorded then or earlier: a time, or how long ago"))
        .arg(
            Arg::new("newest")
                .long("newest")
                .action(ArgAction::SetTrue)
                .help("Print the newest first; --after is the position they come before"),
        )
        .after_help(
            "There is no index on actors, correlations and commands: the log is looked through for them, from one end to \
             the other. --from and --until make that short.",
        )
}

fn moment(name: &'static str) -> Arg {
    Arg::new(name).long(name).value_name("TIME")
}

/// The position that `--after` names; none where nobody has said one.
fn after_of(matches: &ArgMatches) -> Option<Position> {
    let says = matches.value_source("after") != Some(ValueSource::DefaultValue);
    matches.get_one("after").copied().filter(|_| says)
}

fn filter_of(matches: &ArgMatches) -> Result<EventFilter, ExitError> {
    let mut log = LogFilter::default();
    if let Some(event_type) = matches.get_one::<String>("type") {
        log.event_types.push(EventType::new(event_type)?);
    }
    if let Some(category) = matches.get_one::<String>("category") {
        log.categories.push(Category::new(category)?);
    }
    Ok(EventFilter {
        log,
        stream: matches.get_one("stream").cloned(),
        actor: matches.get_one("actor").cloned(),
        correlation_id: matches.get_one("correlation").copied(),
        command_id: matches.get_one("command").copied().map(CommitId),
    })
}

fn query_of(matches: &ArgMatches, filter: EventFilter, now: Timestamp) -> Result<EventQuery, ExitError> {
    let moment = |name: &str| {
        let text = matches.get_one::<String>(name);
        let read = |text: &String| {
            read_past(text, now).ok_or_else(|| {
                ExitError::invalid(format!(
                    "--{name} {text} is no time; write one as 2026-01-31T12:00:00Z, or how long ago, as 30m, 2h or 7d"
                ))
            })
        };
        text.map(read).transpose()
    };
    let order = if matches.get_flag("newest") { Direction::Descending } else { Direction::Ascending };
    Ok(EventQuery { filter, from: moment("from")?, until: moment("until")?, order, after: after_of(matches) })
}

pub(super) async fn run(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let filter = filter_of(matches)?;
    if matches.get_flag("follow") {
        let after = after_of(matches);
        return until_told(|told| async move {
            tokio::select! {
                () = told.wait() => Ok(()),
                followed = follow(app, &filter, after) => followed,
            }
        })
        .await;
    }
    let query = query_of(matches, filter, app.engine.clock().now())?;
    let mut left: u64 = matches.get_one("limit").copied().unwrap_or(100);
    let mut browse = Browse::begin(&*app.store, &app.tenant, query).await?;
    let mut events: Vec<RecordedEvent> = Vec::new();
    while left > 0 && !browse.is_over() {
        let limit = usize::try_from(left).unwrap_or(usize::MAX).min(PAGE_EVENTS_MAX);
        let found = browse.next(&*app.store, limit).await?;
        left = left.saturating_sub(found.len() as u64);
        if app.json {
            found.iter().try_for_each(print_json)?;
        } else {
            events.extend(found);
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

/// Prints what happens in the tenant. A store that does not answer is asked again; where an older copy of the log was
/// restored, what was printed is not in it, and following ends.
async fn follow(app: &App, filter: &EventFilter, after: Option<Position>) -> Result<(), ExitError> {
    let (store, clock) = (&app.store, app.engine.clock());
    let mut wakeup = app.engine.wakeups().subscribe();
    let scope = LogScope::Tenant(app.tenant.clone());
    let (start, of_log) = (Checkpoint::start(store.store_id()), filter.of_log());
    let after = match after {
        Some(after) => after,
        None => store.head().await?,
    };
    let event_id = if after == Position::START { None } else { store.event_id_at(after).await? };
    if after != Position::START && event_id.is_none() {
        return Err(ExitError::invalid(format!("the log has no event at position {after}; it ends before")));
    }
    let mut place = Checkpoint { position: after, event_id, ..start };
    loop {
        let read = async {
            let page = store.read_all(&scope, place.position, &of_log, FOLLOWED_EVENTS_MAX).await?;
            if page.scanned_to == place.position {
                store.check_checkpoint("events --follow", &place, "begin again without --after").await?;
                return Ok((page, place.event_id));
            }
            let event_id = store.event_id_at(page.scanned_to).await?;
            Ok::<_, Error>((page, event_id))
        };
        match read.await {
            Ok((page, event_id)) => {
                let mut meant = page.events.iter().filter(|event| filter.allows(event));
                meant.try_for_each(|event| print_followed(app, event))?;
                place = Checkpoint { position: page.scanned_to, event_id, ..start };
                if page.at_head {
                    tokio::select! {
                        () = wakeup.hint() => {}
                        () = clock.sleep(FOLLOW_POLL_INTERVAL) => {}
                    }
                }
            }
            Err(error) if error.is_retryable() => {
                tracing::debug!(%error, "the log is asked again");
                clock.sleep(FOLLOW_PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// A line for each event: nobody knows how wide the columns of those to come are.
fn print_followed(app: &App, event: &RecordedEvent) -> Result<(), ExitError> {
    if app.json {
        return print_json(event);
    }
    let RecordedEvent { position, stream, version, event_type, payload, .. } = event;
    let payload = payload.text().as_str();
    Ok(writeln!(super::out(), "{position}  {stream}  {version}  {event_type}  {payload}")?)
}
