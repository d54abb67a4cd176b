use std::io::Write;

use clap::{Arg, ArgAction, ArgMatches};
use serde::Serialize;
use underlay_core::limits::PAGE_EVENTS_MAX;
use underlay_core::{
    Error, EventStoreExt, ParkedEvent, Position, ViewInfo, ViewSchema, ViewStatus, ViewTable,
};
use underlay_runtime::{Engine, RebuildFrom};

use super::{App, print_json, print_table};
use crate::ExitError;

pub(super) fn command() -> clap::Command {
    let view = || Arg::new("view").required(true).value_name("VIEW").help("Its name");
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
                ),
        )
        .subcommand(
            clap::Command::new("revert")
                .about("Bring the rows back that the last rebuild replaced")
                .arg(view()),
        )
        .subcommand(
            clap::Command::new("discard")
                .about("Give up the rows that can be brought back, and what an interrupted rebuild has built")
                .arg(view()),
        )
        .subcommand(
            clap::Command::new("parked").about("Print the events that a view has passed over").arg(view()),
        )
}

pub(super) async fn run(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let Some((name, matches)) = matches.subcommand() else { return status(app).await };
    let view = || matches.get_one::<String>("view").cloned().unwrap_or_default();
    match name {
        "rebuild" => {
            let from = if matches.get_flag("anew") { RebuildFrom::Start } else { RebuildFrom::WhereItWas };
            rebuild(app, &view(), from).await
        }
        "revert" => revert(app, &view()).await,
        "discard" => discard(app, &view()).await,
        "parked" => parked(app, &view()).await,
        _ => status(app).await,
    }
}

#[derive(Debug, Serialize)]
struct Status {
    view: String,
    status: ViewStatus,
    generation: u32,
    position: Position,
    behind: u64,
    /// Events of some tenants that its rows lack; `view parked` prints them.
    parked: u64,
    /// How far an unfinished rebuild has come.
    rebuilt_to: Option<Position>,
    /// The generation that `view revert` brings back.
    replaced: Option<u32>,
    /// The process that folds it; none where none does, or where every process may.
    folded_by: Option<String>,
    /// Why its rows cannot be used or followed, and the command that mends it.
    problem: Option<String>,
}

async fn status(app: &App) -> Result<(), ExitError> {
    let rows = statuses(&app.engine).await?;
    if app.json {
        return print_json(&rows);
    }
    let dash = || "-".to_owned();
    let row = |status: &Status| {
        let state = match (&status.problem, status.status) {
            (Some(problem), _) => problem,
            (None, ViewStatus::Live) => "at the head of the log",
            (None, _) => "behind the log",
        };
        vec![
            status.view.clone(),
            state.to_owned(),
            status.generation.to_string(),
            status.position.to_string(),
            status.behind.to_string(),
            status.parked.to_string(),
            status.rebuilt_to.map_or_else(dash, |position| position.to_string()),
            status.replaced.map_or_else(dash, |generation| generation.to_string()),
            status.folded_by.clone().unwrap_or_else(dash),
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
    print_table(&headings, rows.iter().map(row).collect())
}

/// What the catalogue says of every view, held against the code and the log.
async fn statuses(engine: &Engine) -> Result<Vec<Status>, Error> {
    let head = engine.store().head().await?;
    let stored = engine.read_models().views().await?;
    let mut statuses = Vec::new();
    for schema in engine.registry().views() {
        let info = stored.iter().find(|info| info.name == schema.name);
        let position = info.map_or(Position::START, |info| info.active.checkpoint.position);
        let behind = head.number().saturating_sub(position.number());
        let problem = match info {
            Some(info) => problem(engine, &schema, info).await?,
            None => None,
        };
        let status = match problem {
            Some(_) => ViewStatus::Failed,
            None if behind == 0 => ViewStatus::Live,
            None => ViewStatus::CatchingUp,
        };
        let folded_by = engine.view_holder(&schema.name).await?;
        statuses.push(Status {
            view: schema.name,
            status,
            generation: info.map_or(0, |info| info.active.number),
            position,
            behind,
            parked: info.map_or(0, |info| info.active.parked),
            rebuilt_to: info.and_then(|info| info.building).map(|building| building.checkpoint.position),
            replaced: info.and_then(|info| info.replaced).map(|(replaced, _)| replaced.number),
            folded_by,
            problem,
        });
    }
    Ok(statuses)
}

async fn problem(engine: &Engine, schema: &ViewSchema, info: &ViewInfo) -> Result<Option<String>, Error> {
    let repair = format!("{} view rebuild {}", engine.config().program, schema.name);
    if info.active.fingerprint != schema.fingerprint() {
        return Ok(Some(format!("definition changed: run `{repair}`")));
    }
    match engine
        .store()
        .check_checkpoint(&format!("view {}", schema.name), &info.active.checkpoint, &repair)
        .await
    {
        Ok(()) => Ok(None),
        Err(refused @ Error::CheckpointRefused(_)) => Ok(Some(refused.to_string())),
        Err(error) => Err(error),
    }
}

async fn rebuild(app: &App, view: &str, from: RebuildFrom) -> Result<(), ExitError> {
    let head = app.store.head().await?;
    if from == RebuildFrom::WhereItWas
        && let Some(begun) = app.engine.view_info(view).await?.and_then(|info| info.building)
        && !app.json
    {
        let position = begun.checkpoint.position;
        let _unseen = writeln!(
            std::io::stderr().lock(),
            "view {view}: a rebuild was interrupted at {position}; it goes on there, if it is of this \
             definition (--anew begins again)"
        );
    }
    let told = |position: Position| {
        if !app.json {
            // Progress is for watching; where nobody can, the rebuild goes on.
            let _unseen = write!(std::io::stderr().lock(), "\rview {view}: {position} of {head}");
        }
    };
    let generation = app.engine.rebuild_view(view, from, told).await?;
    if app.json {
        return print_json(&serde_json::json!({ "view": view, "generation": generation }));
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nview {view} is rebuilt: generation {generation} is read now")?;
    Ok(writeln!(out, "`{} view revert {view}` brings back the one before", app.name)?)
}

async fn revert(app: &App, view: &str) -> Result<(), ExitError> {
    let generation = app.engine.revert_view(view).await?;
    if app.json {
        return print_json(&serde_json::json!({ "view": view, "generation": generation }));
    }
    let text = format!(
        "view {view}: generation {generation} is read again, and is brought up to date from where it stood"
    );
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}

async fn discard(app: &App, view: &str) -> Result<(), ExitError> {
    app.engine.registry().view_schema(view)?;
    let given_up: Vec<u32> = match app.engine.view_info(view).await? {
        Some(info) => {
            let replaced = info.replaced.map(|(replaced, _)| replaced);
            info.building.into_iter().chain(replaced).map(|generation| generation.number).collect()
        }
        None => Vec::new(),
    };
    for generation in &given_up {
        app.engine.read_models().discard(view, *generation).await?;
    }
    // A view's runner removes what they have left, in pieces; where none runs, this does.
    while app.engine.read_models().sweep().await? == underlay_core::Swept::Piece {}
    if app.json {
        return print_json(&serde_json::json!({ "view": view, "discarded": given_up }));
    }
    let text = match given_up.as_slice() {
        [] => "there is nothing to give up".to_owned(),
        [one] => format!("generation {one} is given up"),
        more => format!("{} generations are given up", more.len()),
    };
    Ok(writeln!(std::io::stdout().lock(), "view {view}: {text}")?)
}

#[derive(Debug, Serialize)]
struct Parked {
    view: String,
    events: Vec<ParkedEvent>,
}

async fn parked(app: &App, view: &str) -> Result<(), ExitError> {
    let events = parked_events(&app.engine, view).await?;
    if app.json {
        return print_json(&Parked { view: view.to_owned(), events });
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
        let page = engine.read_models().parked(&table, after, PAGE_EVENTS_MAX).await?;
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
        let status = async |engine: &Engine| statuses(engine).await.unwrap().remove(0);
        assert_eq!(status(&engine).await.status, ViewStatus::Live);

        // The log is shorter than the view has come: yesterday's copy was put back.
        let restored = Checkpoint {
            store: store.store_id(),
            position: Position::from_number(7),
            event_id: Some(EventId::draw()),
        };
        engine.read_models().prepare(&Notes::<1>::schema(), restored).await.unwrap();
        let Status { status: found, problem, .. } = status(&engine).await;
        assert_eq!(found, ViewStatus::Failed);
        assert!(problem.unwrap().contains("`bank view rebuild notes`"));

        let changed = Service::new("bank").view(Notes::<2>).open(&store).unwrap();
        let Status { status: found, problem, .. } = status(&changed).await;
        assert_eq!(found, ViewStatus::Failed);
        assert!(problem.unwrap().contains("definition changed"));

        let foreign = Checkpoint::start(StoreId(Uuid::nil()));
        let store = Store::open("memory:").await.unwrap();
        let engine = Service::new("bank").view(Notes::<1>).open(&store).unwrap();
        engine.read_models().prepare(&Notes::<1>::schema(), foreign).await.unwrap();
        assert!(status(&engine).await.problem.unwrap().contains("was taken in store"));
    }
}
