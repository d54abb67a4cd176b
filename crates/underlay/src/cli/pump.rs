use std::io::Write;

use clap::{Arg, ArgMatches};
use underlay_runtime::RewindTo;

use super::followers::{print_followers, print_retried};
use super::{App, print_json};
use crate::ExitError;

pub(super) fn command() -> clap::Command {
    let pump = || Arg::new("pump").required(true).value_name("PUMP").help("Its name");
    clap::Command::new("pump")
        .about("Look at pumps, and repair them")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(clap::Command::new("status").about("Print every pump, with how far it is"))
        .subcommand(clap::Command::new("retry").about("Make a pump that is stopped try again").arg(pump()))
        .subcommand(
            clap::Command::new("rewind")
                .about(
                    "Move a pump to another place of the log: what follows is brought, what is before is not",
                )
                .arg(pump())
                .arg(
                    Arg::new("to")
                        .long("to")
                        .required(true)
                        .value_name("PLACE")
                        .value_parser(clap::value_parser!(RewindTo))
                        .help("`start`, `end`, or the position that it is to stand at"),
                ),
        )
}

pub(super) async fn run(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let Some((name, matches)) = matches.subcommand() else { return status(app).await };
    let pump = || matches.get_one::<String>("pump").cloned().unwrap_or_default();
    match name {
        "retry" => {
            let pump = pump();
            print_retried(app, "pump", &pump, app.engine.retry_pump(&pump).await?)
        }
        "rewind" => {
            let to = matches.get_one::<RewindTo>("to").ok_or_else(|| ExitError::invalid("to where?"))?;
            rewind(app, &pump(), *to).await
        }
        _ => status(app).await,
    }
}

async fn status(app: &App) -> Result<(), ExitError> {
    print_followers(app, ["pump", "held by"], &app.engine.pump_standings_now().await?)
}

async fn rewind(app: &App, pump: &str, to: RewindTo) -> Result<(), ExitError> {
    let position = app.engine.rewind_pump(pump, to).await?;
    if app.json {
        return print_json(&serde_json::json!({ "pump": pump, "position": position }));
    }
    Ok(writeln!(super::out(), "pump {pump} stands at position {position}, and goes on from there")?)
}
