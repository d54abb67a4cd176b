use std::io::Write;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches};
use underlay_core::limits::SCHEDULES_MAX;
use underlay_runtime::{Missed, ScheduleDefinition, ScheduleInfo};

use super::command::{Target, of_command, target};
use super::{App, or_dash, print_json, print_list, print_table};
use crate::{Exit, ExitError};

/// The words for what becomes of missed moments.
const MISSED: [Missed; 3] = [Missed::One, Missed::All, Missed::None];

pub(super) fn command() -> clap::Command {
    let name = || Arg::new("name").required(true).value_name("NAME").help("Its name");
    clap::Command::new("schedule")
        .about("Give commands again and again, at moments in the local time of a zone")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            clap::Command::new("add")
                .about("Put a schedule, in place of one of that name")
                .arg(name())
                .arg(
                    Arg::new("cron")
                        .long("cron")
                        .required(true)
                        .value_name("EXPRESSION")
                        .help("Minute, hour, day of the month, month, day of the week, such as '0 6 1 * *'"),
                )
                .arg(
                    Arg::new("zone")
                        .long("zone")
                        .default_value("UTC")
                        .value_name("ZONE")
                        .help("The time zone, such as Europe/Berlin"),
                )
                .arg(
                    Arg::new("missed")
                        .long("missed")
                        .value_name("WHICH")
                        .default_value(Missed::default().word())
                        .value_parser(PossibleValuesParser::new(MISSED.map(Missed::word)))
                        .help("Of the moments that came while nobody did work, which are made up for"),
                )
                .arg(
                    Arg::new("urgent")
                        .long("urgent")
                        .action(ArgAction::SetTrue)
                        .help("Run the command before what is not urgent"),
                )
                .arg(target()),
        )
        .subcommand(clap::Command::new("list").about("Print the schedules of a tenant"))
        .subcommand(
            clap::Command::new("remove")
                .about("Remove a schedule; what it has given already runs all the same")
                .arg(name()),
        )
}

pub(super) async fn run(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    match matches.subcommand() {
        Some(("add", matches)) => add(app, matches).await,
        Some(("remove", matches)) => remove(app, matches).await,
        _ => list(app).await,
    }
}

fn given<'a>(matches: &'a ArgMatches, name: &str) -> &'a str {
    matches.get_one::<String>(name).map_or("", String::as_str)
}

async fn add(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let (cron, zone) = (given(matches, "cron"), given(matches, "zone"));
    let definition = match Target::read(matches)? {
        Target::Command { category, id, command, body } => {
            ScheduleDefinition::command_named(cron, zone, category, id, command, body)
        }
        Target::Operation { name, body } => ScheduleDefinition::operation_named(cron, zone, name, body),
    };
    let missed = MISSED.into_iter().find(|missed| missed.word() == given(matches, "missed"));
    let mut definition = definition?.with_missed(missed.unwrap_or_default());
    definition.urgent = matches.get_flag("urgent");
    let put = app.engine.put_schedule(&app.tenant, given(matches, "name"), definition).await;
    let put = put.map_err(of_command)?;
    if app.json {
        return print_json(&put);
    }
    let next = put.next_due_at.map_or_else(|| "never".to_owned(), |next| next.to_string());
    Ok(writeln!(super::out(), "schedule {:?} is put, and due next at {next}", put.name)?)
}

async fn remove(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let name = given(matches, "name");
    if !app.engine.remove_schedule(&app.tenant, name).await? {
        let message = format!("tenant {} has no schedule {name:?}", app.tenant);
        return Err(ExitError { exit: Exit::NotFound, message });
    }
    if app.json {
        return print_json(&serde_json::json!({ "name": name, "removed": true }));
    }
    Ok(writeln!(super::out(), "schedule {name:?} is removed")?)
}

async fn list(app: &App) -> Result<(), ExitError> {
    // All that a tenant may have is one page.
    let schedules = app.engine.schedules(Some(&app.tenant), None, SCHEDULES_MAX).await?;
    if app.json {
        return print_list(&schedules);
    }
    let row = |info: &ScheduleInfo| {
        let of = |read: fn(&ScheduleDefinition) -> String| or_dash(info.definition.as_ref().map(read));
        vec![
            info.name.clone(),
            of(|definition| definition.cron.clone()),
            of(|definition| definition.zone.clone()),
            or_dash(info.next_due_at),
            of(|definition| definition.missed.word().to_owned()),
            of(|definition| match &definition.id {
                Some(id) => format!("{}/{id}/{}", definition.receiver, definition.command),
                None => format!("operations/{}", definition.receiver),
            }),
            info.problem.clone().unwrap_or_default(),
        ]
    };
    let headings = ["name", "cron", "zone", "due next at", "missed", "for", "problem"];
    print_table(&headings, schedules.iter().map(row).collect())
}
