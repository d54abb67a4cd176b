use clap::{Arg, ArgMatches, value_parser};
use underlay_core::{EventStoreExt, StreamName, Version};

use super::{App, print_list, print_table};
use crate::{Exit, ExitError};

pub(super) fn command() -> clap::Command {
    clap::Command::new("stream")
        .about("Print the events of a stream")
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
}

pub(super) async fn run(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let stream =
        matches.get_one::<StreamName>("stream").ok_or_else(|| ExitError::invalid("which stream?"))?;
    let after = Version(matches.get_one("after").copied().unwrap_or_default());
    let events = app.store.read_stream_whole(&app.tenant, stream, after).await?;
    if events.is_empty() && after == Version::NONE {
        let message = format!(
            "stream {stream} has no events for tenant {}; `{} events` prints the log, and --tenant names another tenant",
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
