use std::io::Write;

use clap::{Arg, ArgMatches};
use serde::Serialize;
use underlay_core::{Error, EventStoreExt, Position, ViewInfo, ViewSchema, ViewStatus};
use underlay_runtime::Engine;

use super::{App, print_json, print_table};
use crate::ExitError;

pub(super) fn command() -> clap::Command {
    clap::Command::new("view")
        .about("Look at views, and repair them")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(clap::Command::new("status").about("Print every view, with how far it is"))
        .subcommand(
            clap::Command::new("rebuild")
                .about("Fold a view anew beside the rows that are read, then swap it in")
                .arg(Arg::new("view").required(true).value_name("VIEW").help("Its name")),
        )
}

pub(super) async fn run(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    match matches.subcommand() {
        Some(("rebuild", matches)) => {
            let view = matches.get_one::<String>("view").cloned().unwrap_or_default();
            rebuild(app, &view).await
        }
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
            status.folded_by.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    };
    let headings = ["view", "status", "generation", "position", "behind", "folded by"];
    print_table(&headings, rows.iter().map(row).collect())
}

/// What the catalogue says of every view, held against the code and the log.
async fn statuses(engine: &Engine) -> Result<Vec<Status>, Error> {
    let head = engine.store().head().await?;
    let stored = engine.read_models().views().await?;
    let mut statuses = Vec::new();
    for schema in engine.registry().views() {
        let info = stored.iter().find(|info| info.name == schema.name);
        let position = info.map_or(Position::START, |info| info.checkpoint.position);
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
        let generation = info.map_or(0, |info| info.generation);
        let folded_by = engine.view_holder(&schema.name).await?;
        statuses.push(Status { view: schema.name, status, generation, position, behind, folded_by, problem });
    }
    Ok(statuses)
}

async fn problem(engine: &Engine, schema: &ViewSchema, info: &ViewInfo) -> Result<Option<String>, Error> {
    let repair = format!("{} view rebuild {}", engine.config().program, schema.name);
    if info.fingerprint != schema.fingerprint() {
        return Ok(Some(format!("definition changed: run `{repair}`")));
    }
    match engine.store().check(&format!("view {}", schema.name), &info.checkpoint, &repair).await {
        Ok(()) => Ok(None),
        Err(refused @ Error::CheckpointRefused(_)) => Ok(Some(refused.to_string())),
        Err(error) => Err(error),
    }
}

async fn rebuild(app: &App, view: &str) -> Result<(), ExitError> {
    let head = app.store.head().await?;
    let told = |position: Position| {
        if !app.json {
            // Progress is for watching; where nobody can, the rebuild goes on.
            let _unseen = write!(std::io::stderr().lock(), "\rview {view}: {position} of {head}");
        }
    };
    let generation = app.engine.rebuild_view(view, told).await?;
    if app.json {
        return print_json(&serde_json::json!({ "view": view, "generation": generation }));
    }
    Ok(writeln!(std::io::stdout().lock(), "\nview {view} is rebuilt: generation {generation} is read now")?)
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
