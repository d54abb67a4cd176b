use std::io::Write;

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use underlay_core::limits::PAGE_EVENTS_MAX;
use underlay_core::{Error, ParkedEvent, Position, SkippedEvent, StopCause, ViewTable};
use underlay_runtime::{Engine, Retried, ViewStanding};

use super::followers::print_problem;
use super::user::who;
use super::{App, or_dash, print_json, print_list, print_table, view_orders};
use crate::ExitError;

pub(super) fn command() -> clap::Command {
    let view = || Arg::new("view").required(true).value_name("VIEW").help("Its name");
    let by = |who: &str| {
        Arg::new("as").long("as").value_name("NAME").help(format!("{who} [default: the user of the system]"))
    };
    let background = || {
        Arg::new("background")
            .long("background")
            .action(ArgAction::SetTrue)
            .help("Leave it to the processes that serve; `view status` shows how far it is")
    };
    clap::Command::new("view")
        .about("Look at views, and repair them")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(clap::Command::new("status").about("Print every view, with how far it is"))
        .subcommand(
            clap::Command::new("rebuild")
                .about("Fold a view anew beside the rows that are read, then swap it in")
                .arg(view())
                .arg(
                    Arg::new("anew")
                        .long("anew")
                        .action(ArgAction::SetTrue)
                        .help("Begin at the start of the log, also where an interrupted rebuild could go on"),
                )
                .arg(background())
                .arg(by("Who orders it")),
        )
        .subcommand(
            clap::Command::new("verify")
                .about("Fold a view anew beside the rows that are read, and compare every row; exit 1 where they differ")
                .arg(view())
                .arg(
                    Arg::new("repair")
                        .long("repair")
                        .action(ArgAction::SetTrue)
                        .help("Swap in the rows that were folded anew, where a row differs"),
                )
                .arg(background())
                .arg(by("Who orders it")),
        )
        .subcommand(
            clap::Command::new("cancel")
                .about("Cancel a rebuild or a comparison that was ordered, in whatever process it is carried out")
                .arg(view())
                .arg(by("Who cancels it")),
        )
        .subcommand(
            clap::Command::new("retry")
                .about("Try a view again now that is stopped, and say what came of it")
                .arg(view()),
        )
        .subcommand(
            clap::Command::new("skip")
                .about("Pass over the event that a view is stopped at; its rows lack the event from then on")
                .arg(view())
                .arg(
                    Arg::new("position")
                        .required(true)
                        .value_name("POSITION")
                        .value_parser(value_parser!(Position))
                        .help("The place of the event in the log, as `view status` shows it"),
                )
                .arg(
                    Arg::new("why")
                        .long("why")
                        .required(true)
                        .value_name("TEXT")
                        .help("Why; `view status` shows it for ever"),
                )
                .arg(by("Who skips it")),
        )
        .subcommand(
            clap::Command::new("revert")
                .about("Bring the rows back that the last rebuild replaced")
                .arg(view()),
        )
        .subcommand(
            clap::Command::new("discard")
                .about("Give up the rows that can be brought back, and what an interrupted rebuild has built")
                .arg(view())
                .arg(by("Who gives them up")),
        )
        .subcommand(
            clap::Command::new("parked").about("Print the events that a view has passed over").arg(view()),
        )
}

pub(super) async fn run(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let Some((name, matches)) = matches.subcommand() else { return status(app).await };
    let view = || matches.get_one::<String>("view").cloned().unwrap_or_default();
    match name {
        "rebuild" => view_orders::rebuild(app, &view(), matches).await,
        "verify" => view_orders::verify(app, &view(), matches).await,
        "cancel" => view_orders::cancel(app, &view(), matches).await,
        "retry" => retry(app, &view()).await,
        "skip" => skip(app, &view(), matches).await,
        "revert" => revert(app, &view()).await,
        "discard" => discard(app, &view(), matches).await,
        "parked" => parked(app, &view()).await,
        _ => status(app).await,
    }
}

async fn status(app: &App) -> Result<(), ExitError> {
    let views = app.engine.view_standings_now().await?.views;
    if app.json {
        return print_list(&views);
    }
    let row = |view: &ViewStanding| {
        vec![
            view.view.clone(),
            view.status.to_string(),
            view.generation.to_string(),
            view.position.to_string(),
            view.behind.to_string(),
            view.parked.to_string(),
            or_dash(view.rebuilt_to),
            or_dash(view.replaced),
            or_dash(view.folded_by.as_ref()),
        ]
    };
    let headings = [
        "view",
        "status",
        "generation",
        "position",
        "behind",
        "parked",
        "rebuilt to",
        "replaced",
        "folded by",
    ];
    print_table(&headings, views.iter().map(row).collect())?;
    for view in &views {
        print_problem(&view.view, view.status, view.stop.as_ref(), view.problem.as_deref())?;
        if let Some(order) = &view.order {
            view_orders::print_order(&view.view, order)?;
        }
        for skipped in &view.skipped {
            let SkippedEvent { event, by, why, at } = skipped;
            let text = format!("{by} skipped position {} of tenant {} at {at}", event.position, event.tenant);
            writeln!(super::out(), "{}: {text}: {why}", view.view)?;
        }
    }
    Ok(())
}

async fn retry(app: &App, view: &str) -> Result<(), ExitError> {
    let retried = app.engine.retry_view(view).await?;
    if app.json {
        print_json(&retried)?;
    }
    let text = match &retried {
        Retried::NotStopped { position } => {
            let status = app.engine.view_standing(view).await?.status;
            format!("it is not stopped; it is {status}, at position {position}")
        }
        Retried::WentOn { position } => {
            format!("it came past what had stopped it, and stands at position {position}")
        }
        Retried::StoppedAgain { position, stop } => {
            let (cause, skip) = match &stop.cause {
                StopCause::Event { event, is_of_event } => (
                    format!(
                        "event at position {} of tenant {}: {}",
                        event.position, event.tenant, event.reason
                    ),
                    is_of_event.then(|| {
                        format!(
                            "; `{} view skip {view} {} --why TEXT` passes over it",
                            app.name, event.position
                        )
                    }),
                ),
                StopCause::Failure { reason } => (reason.clone(), None),
            };
            let skip = skip.unwrap_or_default();
            return Err(ExitError::failed(format!(
                "view {view} stopped again at position {position}: {cause}{skip}"
            )));
        }
        Retried::Busy { position, holder } => {
            let holder = holder.as_deref().unwrap_or("another process");
            return Err(ExitError::failed(format!(
                "{holder} folds view {view} and has not come past what stopped it; it stands at position \
                 {position}. `{} view status` shows what came of it",
                app.name
            )));
        }
    };
    if app.json { Ok(()) } else { Ok(writeln!(super::out(), "view {view}: {text}")?) }
}

async fn skip(app: &App, view: &str, matches: &ArgMatches) -> Result<(), ExitError> {
    let given = |name: &str| matches.get_one::<String>(name).cloned();
    let by = who(matches)?;
    let position = matches.get_one::<Position>("position").copied().unwrap_or(Position::START);
    let skipped = app.engine.skip_view(view, position, &by, &given("why").unwrap_or_default()).await?;
    if app.json {
        return print_json(&skipped);
    }
    let mut out = super::out();
    writeln!(out, "view {view} passes over the event at position {position} of {}", skipped.event.tenant)?;
    Ok(writeln!(out, "`{} view retry {view}` says how far it comes without it", app.name)?)
}

async fn revert(app: &App, view: &str) -> Result<(), ExitError> {
    let generation = app.engine.revert_view(view).await?;
    if app.json {
        return print_json(&serde_json::json!({ "view": view, "generation": generation }));
    }
    let text = format!(
        "view {view}: generation {generation} is read again, and is brought up to date from where it stood"
    );
    Ok(writeln!(super::out(), "{text}")?)
}

async fn discard(app: &App, view: &str, matches: &ArgMatches) -> Result<(), ExitError> {
    let given_up = app.engine.discard_view(view, &who(matches)?).await?;
    if app.json {
        return print_json(&serde_json::json!({ "view": view, "discarded": given_up }));
    }
    let text = match given_up.as_slice() {
        [] => "there is nothing to give up".to_owned(),
        [one] => format!("generation {one} is given up"),
        more => format!("{} generations are given up", more.len()),
    };
    Ok(writeln!(super::out(), "view {view}: {text}")?)
}

async fn parked(app: &App, view: &str) -> Result<(), ExitError> {
    let events = parked_events(&app.engine, view).await?;
    if app.json {
        return print_list(&events);
    }
    let row = |event: &ParkedEvent| {
        vec![
            event.tenant.to_string(),
            event.position.to_string(),
            event.stream.to_string(),
            event.version.to_string(),
            event.reason.clone(),
        ]
    };
    print_table(&["tenant", "position", "stream", "version", "reason"], events.iter().map(row).collect())
}

/// Every event that the rows of a view lack.
async fn parked_events(engine: &Engine, view: &str) -> Result<Vec<ParkedEvent>, Error> {
    let schema = engine.registry().view_schema(view)?;
    let Some(info) = engine.view_info(view).await? else { return Ok(Vec::new()) };
    let table = ViewTable { schema, generation: info.active.number };
    let mut events: Vec<ParkedEvent> = Vec::new();
    loop {
        let after = events.last().map_or(Position::START, |event| event.position);
        let page = engine.read_models(view).parked(&table, after, PAGE_EVENTS_MAX).await?;
        if page.is_empty() {
            return Ok(events);
        }
        events.extend(page);
    }
}

#[cfg(test)]
mod tests {
    use underlay_core::{Checkpoint, EventId, Keys, Recorded, StoreId, View};
    use underlay_derive::{event, row};
    use underlay_runtime::FollowerStatus;
    use uuid::Uuid;

    use super::*;
    use crate::{Service, Store};

    #[event(crate = underlay_core)]
    enum Note {
        #[event(name = "noted", version = 1)]
        Noted,
    }

    #[row(crate = underlay_core)]
    struct Count {
        notes: i64,
    }

    struct Notes<const VERSION: u32>;

    impl<const VERSION: u32> View for Notes<VERSION> {
        const NAME: &'static str = "notes";
        const VERSION: u32 = VERSION;
        type Event = Note;
        type Key = String;
        type Row = Count;
        fn route(&self, _: &Recorded<Note>, _: &mut Keys<String>) {}
        fn fold(&self, _: &String, row: Option<Count>, _: &Recorded<Note>) -> Option<Count> {
            row
        }
    }

    #[tokio::test]
    async fn a_view_that_cannot_be_followed_is_never_shown_as_up_to_date() {
        let store = Store::open("memory:").await.unwrap();
        let engine = Service::new("bank").view(Notes::<1>).open(&store).unwrap();
        let status = async |engine: &Engine| engine.view_standings_now().await.unwrap().views.remove(0);
        assert_eq!(status(&engine).await.status, FollowerStatus::Live);

        // The log is shorter than the view has come: yesterday's copy was put back.
        let restored = Checkpoint {
            store: store.store_id(),
            position: Position::from_number(7),
            event_id: Some(EventId::draw()),
        };
        engine.read_models("notes").prepare(&Notes::<1>::schema(), restored).await.unwrap();
        let ViewStanding { status: found, problem, .. } = status(&engine).await;
        assert_eq!(found, FollowerStatus::Failed);
        assert!(problem.unwrap().contains("`bank view rebuild notes`"));

        let changed = Service::new("bank").view(Notes::<2>).open(&store).unwrap();
        let ViewStanding { status: found, problem, .. } = status(&changed).await;
        assert_eq!(found, FollowerStatus::Failed);
        assert!(problem.unwrap().contains("definition changed"));

        let foreign = Checkpoint::start(StoreId(Uuid::nil()));
        let store = Store::open("memory:").await.unwrap();
        let engine = Service::new("bank").view(Notes::<1>).open(&store).unwrap();
        engine.read_models("notes").prepare(&Notes::<1>::schema(), foreign).await.unwrap();
        assert!(status(&engine).await.problem.unwrap().contains("was taken in store"));
    }
}
