use std::io::Write;

use clap::{Arg, ArgMatches};
use serde::Serialize;
use underlay_core::{Position, ViewStatus};

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

#[derive(Serialize)]
struct Status {
    view: String,
    status: ViewStatus,
    generation: u32,
    position: Position,
    behind: u64,
    changed: bool,
}

async fn status(app: &App) -> Result<(), ExitError> {
    let head = app.store.head().await?;
    let stored = app.engine.read_models().views().await?;
    let mut rows = Vec::new();
    for schema in app.engine.registry().views() {
        let info = stored.iter().find(|info| info.name == schema.name);
        let position = info.map_or(Position::START, |info| info.checkpoint.position);
        let behind = head.number().saturating_sub(position.number());
        rows.push(Status {
            status: if behind == 0 { ViewStatus::Live } else { ViewStatus::CatchingUp },
            generation: info.map_or(0, |info| info.generation),
            position,
            behind,
            changed: info.is_some_and(|info| info.fingerprint != schema.fingerprint()),
            view: schema.name,
        });
    }
    if app.json {
        return print_json(&rows);
    }
    let row = |status: &Status| {
        let state = match status.status {
            _ if status.changed => {
                format!("definition changed: run `{} view rebuild {}`", app.name, status.view)
            }
            ViewStatus::Live => "at the head of the log".to_owned(),
            _ => "behind the log".to_owned(),
        };
        vec![
            status.view.clone(),
            state,
            status.generation.to_string(),
            status.position.to_string(),
            status.behind.to_string(),
        ]
    };
    print_table(&["view", "status", "generation", "position", "behind"], rows.iter().map(row).collect())
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
