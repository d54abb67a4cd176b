use clap::{Arg, ArgMatches, value_parser};
use underlay_core::limits::PAGE_STREAMS_MAX;
use underlay_core::{Category, EventStoreExt, StreamName, StreamVersion, Version};

use super::pages::tell_more;
use super::{App, print_list, print_table};
use crate::{Exit, ExitError};

pub(super) fn command() -> clap::Command {
    clap::Command::new("stream")
        .about("Print the events of a stream, or list the streams")
        .args_conflicts_with_subcommands(true)
        .subcommand_negates_reqs(true)
        .arg(
            Arg::new("stream")
                .required(true)
                .value_name("STREAM")
                .value_parser(value_parser!(StreamName))
                .help("The name of the stream: CATEGORY-ID, such as account-42"),
        )
        .arg(
            Arg::new("after")
                .long("after")
                .value_name("VERSION")
                .default_value("0")
                .value_parser(value_parser!(u64))
                .help("Print only events with a higher version than this"),
        )
        .subcommand(list_command())
}

fn list_command() -> clap::Command {
    clap::Command::new("list")
        .about("Print the streams of a tenant by name, and how many events each has")
        .arg(
            Arg::new("category")
                .long("category")
                .value_name("CATEGORY")
                .help("Print only streams of this category"),
        )
        .arg(
            Arg::new("after")
                .long("after")
                .value_name("STREAM")
                .value_parser(value_parser!(StreamName))
                .help("Print only what comes after this name, as the end of a list that was cut says it"),
        )
        .arg(
            Arg::new("limit")
                .long("limit")
                .value_name("COUNT")
                .default_value("100")
                .allow_negative_numbers(true)
                .value_parser(value_parser!(u64).range(1..=PAGE_STREAMS_MAX as u64))
                .help("How many are printed at most"),
        )
}

pub(super) async fn run(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    match matches.subcommand() {
        Some(("list", matches)) => list(app, matches).await,
        _ => read(app, matches).await,
    }
}

async fn list(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let category = matches.get_one::<String>("category").map(Category::new).transpose()?;
    let limit = matches.get_one::<u64>("limit").map_or(Ok(PAGE_STREAMS_MAX), |limit| usize::try_from(*limit));
    let limit = limit.unwrap_or(PAGE_STREAMS_MAX);
    let page = app.store.streams(&app.tenant, category.as_ref(), matches.get_one("after"), limit).await?;
    if app.json {
        print_list(&page.streams)?;
    } else {
        let row = |listed: &StreamVersion| vec![listed.stream.to_string(), listed.version.to_string()];
        print_table(&["stream", "version"], page.streams.iter().map(row).collect())?;
    }
    match page.streams.last().filter(|_| page.more) {
        Some(last) => {
            tell_more(app, matches, "stream list", (&["category", "limit"], &[]), last.stream.as_str())
        }
        None => Ok(()),
    }
}

async fn read(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let stream =
        matches.get_one::<StreamName>("stream").ok_or_else(|| ExitError::invalid("which stream?"))?;
    let after = Version(matches.get_one("after").copied().unwrap_or_default());
    let events = app.store.read_stream_whole(&app.tenant, stream, after).await?;
    if events.is_empty() && after == Version::NONE {
        let message = format!(
            "stream {stream} has no events for tenant {}; `{} stream list` prints those that have, and --tenant names another tenant",
            app.tenant, app.name
        );
        return Err(ExitError { exit: Exit::NotFound, message });
    }
    if app.json {
        return print_list(&events);
    }
    let row = |event: &underlay_core::RecordedEvent| {
        vec![
            event.version.to_string(),
            event.recorded_at.to_string(),
            event.event_type.to_string(),
            event.payload.text().as_str().to_owned(),
        ]
    };
    print_table(&["version", "recorded at", "type", "payload"], events.iter().map(row).collect())
}
