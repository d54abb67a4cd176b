use std::io::Write;

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, value_parser};
use serde_json::{Value, json};
use underlay_core::limits::WORK_PAGE_MAX;
use underlay_core::{Actor, CommitId, Error, Outcome, Timestamp, WorkId};
use underlay_runtime::{
    Cancelled, CommandInfo, CommandList, CommandStatus, ExecuteNamedError, Request, SubmitOptions,
    WaitingCommand, check_command_key,
};

use super::moments::read_span;
use super::pages::{after, after_of, many, tell_more};
use super::user::who;
use super::{App, or_dash, print_json, print_list, print_table};
use crate::{Exit, ExitError};

/// Commands of one page of a list.
const PAGE: usize = 100;

pub(super) fn command() -> clap::Command {
    let of_command = || {
        Arg::new("command").required(true).value_name("KEY").help("The key it was submitted with, or its id")
    };
    clap::Command::new("command")
        .about("Leave commands with the store, follow them, and cancel them")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(submit_command())
        .subcommand(
            clap::Command::new("list")
                .about(
                    "Print the commands of a tenant that are to run, that were cancelled before their moment, or that \
                     were given up",
                )
                .arg(
                    Arg::new("failed")
                        .long("failed")
                        .action(ArgAction::SetTrue)
                        .help("Print those that were given up"),
                )
                .arg(
                    Arg::new("limit")
                        .long("limit")
                        .value_name("N")
                        .default_value("100")
                        .allow_negative_numbers(true)
                        .value_parser(value_parser!(u64).range(1..=WORK_PAGE_MAX as u64))
                        .help("Print at most N of them, the oldest first"),
                )
                .arg(after()),
        )
        .subcommand(clap::Command::new("show").about("Print what became of a command").arg(of_command()))
        .subcommand(
            clap::Command::new("cancel")
                .about("Cancel a command that has not ended")
                .arg(of_command())
                .arg(by("Who cancels it [default: the user of the system]")),
        )
}

fn by(help: &'static str) -> Arg {
    Arg::new("as").long("as").value_name("NAME").help(help)
}

fn submit_command() -> clap::Command {
    let value = |name: &'static str, value, help| Arg::new(name).long(name).value_name(value).help(help);
    clap::Command::new("submit")
        .about("Leave a command with the store, to be run once by a service that does work")
        .arg(target())
        .arg(value("at", "TIME", "From when on it may run, such as 2030-01-31T06:00:00+01:00"))
        .arg(
            value("in", "DURATION", "After how long it may run: 45s, 30m, 12h or 7d")
                .allow_hyphen_values(true),
        )
        .arg(value("key", "KEY", "Its key: submitted twice, it runs once [default: one is drawn]"))
        .arg(by("Who gives it [default: the user of the system]"))
        .arg(
            value("role", "ROLE", "A role in which it is decided; may be repeated").action(ArgAction::Append),
        )
        .arg(
            Arg::new("urgent")
                .long("urgent")
                .action(ArgAction::SetTrue)
                .help("Run it before what is not urgent"),
        )
        .group(ArgGroup::new("when").args(["at", "in"]))
}

/// What is to be run: a command, or an operation as its address has it.
pub(super) fn target() -> Arg {
    Arg::new("target").required(true).num_args(3..=4).value_names(["CATEGORY", "ID", "COMMAND", "BODY"]).help(
        "The command, with its body as JSON, {} where none is written; an operation is: operations NAME BODY",
    )
}

/// What is to be run.
pub(super) enum Target<'a> {
    Command { category: &'a str, id: &'a str, command: &'a str, body: &'a str },
    Operation { name: &'a str, body: &'a str },
}

impl<'a> Target<'a> {
    pub(super) fn read(matches: &'a ArgMatches) -> Result<Self, ExitError> {
        let given: Vec<&str> =
            matches.get_many::<String>("target").into_iter().flatten().map(String::as_str).collect();
        match *given.as_slice() {
            ["operations", name, body] => Ok(Self::Operation { name, body }),
            [category, id, command] if category != "operations" => {
                Ok(Self::Command { category, id, command, body: "{}" })
            }
            [category, id, command, body] if category != "operations" => {
                Ok(Self::Command { category, id, command, body })
            }
            _ => Err(ExitError::invalid(
                "write CATEGORY ID COMMAND BODY, such as account 42 close '{}', or operations NAME BODY",
            )),
        }
    }
}

pub(super) async fn run(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    match matches.subcommand() {
        Some(("submit", matches)) => submit(app, matches).await,
        Some(("show", matches)) => show(app, named(matches)).await,
        Some(("cancel", matches)) => cancel(app, named(matches), who(matches)?).await,
        Some((_, matches)) => list(app, matches).await,
        None => Err(ExitError::invalid("which of submit, list, show and cancel?")),
    }
}

fn named(matches: &ArgMatches) -> &str {
    matches.get_one::<String>("command").map_or("", String::as_str)
}

/// Says of a command what was wrong with it.
pub(super) fn of_command(failure: ExecuteNamedError) -> ExitError {
    match failure {
        ExecuteNamedError::Failed(error) => error.into(),
        other => ExitError::invalid(other.to_string()),
    }
}

async fn submit(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let given = |name: &str| matches.get_one::<String>(name);
    let target = Target::read(matches)?;
    let now = app.engine.clock().now();
    let mut options = SubmitOptions::default();
    if let Some(at) = given("at") {
        let due_at = at.parse::<Timestamp>();
        options.due_at = Some(due_at.map_err(|_| {
            let last = Timestamp::MAX;
            ExitError::invalid(format!(
                "--at {at}: write a time such as 2030-01-31T06:00:00+01:00, no later than {last}"
            ))
        })?);
    }
    if let Some(text) = given("in") {
        let span = read_span(text).ok_or_else(|| {
            ExitError::invalid(format!("--in {text}: write how long, as in 45s, 30m, 12h or 7d"))
        })?;
        let due_at = now.checked_add(span).map_err(|_| {
            ExitError::invalid(format!("--in {text}: there is no moment after {}", Timestamp::MAX))
        })?;
        options.due_at = Some(due_at);
    }
    options.urgent = matches.get_flag("urgent");
    let actor = Actor {
        name: Some(who(matches)?),
        roles: matches.get_many::<String>("role").into_iter().flatten().cloned().collect(),
    };
    let mut request = Request::new(app.tenant.clone()).with_actor(actor);
    if let Some(key) = given("key") {
        check_command_key(key)?;
        request = request.with_key(key);
    }
    let submitted = match target {
        Target::Command { category, id, command, body } => {
            app.engine.submit_named(&request, category, id, command, body, options).await
        }
        Target::Operation { name, body } => {
            app.engine.submit_operation_named(&request, name, body, options).await
        }
    };
    let submitted = submitted.map_err(|failure| match (failure, given("key")) {
        (ExecuteNamedError::Failed(Error::IdReused(id)), Some(key)) => ExitError::invalid(format!(
            "the key {key:?} was used before, for something else, as command {id}; a repeat is the same command with \
             the same body, and another command needs another key"
        )),
        (failure, _) => of_command(failure),
    })?;
    // What was submitted before may have been given up since, or discarded.
    let known = match submitted.repeated {
        true => app.engine.command_status(&app.tenant, submitted.command_id).await?,
        false => None,
    };
    let status = known.as_ref().map_or("pending", |known| known.status.word());
    if app.json {
        return print_json(&json!({
            "command_id": submitted.command_id,
            "status": status,
            "submitted_at": submitted.submitted_at,
            "due_at": submitted.due_at,
            "repeated": submitted.repeated,
        }));
    }
    let id = submitted.command_id;
    let mut out = super::out();
    match submitted.due_at {
        _ if submitted.is_processed => writeln!(out, "command {id} has ended before; nothing was stored")?,
        Some(due_at) if submitted.repeated => writeln!(
            out,
            "command {id} was stored before, and is {status} and due at {due_at}; nothing was stored, and a time that \
             is given now changes nothing"
        )?,
        Some(due_at) => writeln!(out, "command {id} is stored, and due at {due_at}")?,
        None if submitted.repeated => {
            writeln!(out, "command {id} was stored before, and is {status}; nothing was stored")?
        }
        None => writeln!(out, "command {id} is stored")?,
    }
    Ok(writeln!(out, "`{} command show {id}` says what became of it", app.name)?)
}

/// Finds a command as an address does: a key comes first.
async fn find(app: &App, key: &str) -> Result<CommandInfo, ExitError> {
    let by_key = CommitId::from_key(&app.tenant, key);
    if let Some(found) = app.engine.command_status(&app.tenant, by_key).await? {
        return Ok(found);
    }
    let found = match key.parse() {
        Ok(id) => app.engine.look_for_command(&app.tenant, id).await?,
        Err(_) => None,
    };
    found.ok_or_else(|| ExitError {
        exit: Exit::NotFound,
        message: format!("tenant {} has no command {key:?}, neither by key nor by id", app.tenant),
    })
}

async fn show(app: &App, key: &str) -> Result<(), ExitError> {
    let info = find(app, key).await?;
    if app.json {
        return print_json(&shown(&info));
    }
    let mut out = super::out();
    let mut line = |name: &str, value: String| writeln!(out, "{name:<14}{value}");
    line("command", info.command_id.to_string())?;
    line("status", info.status.word().to_owned())?;
    if let Some(submitted_at) = info.submitted_at {
        line("submitted at", submitted_at.to_string())?;
    }
    if let Some(waiting) = &info.waiting {
        line("for", for_whom(&info))?;
        line("body", waiting.body.as_str().to_owned())?;
        line("attempts", waiting.attempts.to_string())?;
        if let Some(due_at) = waiting.due_at {
            line("due at", due_at.to_string())?;
        }
        if waiting.is_behind {
            line("stands behind", stands_behind(waiting.held_by, &app.name))?;
        }
        if waiting.is_left {
            line("left", "this program has nobody for it, or cannot read it; another one may".to_owned())?;
        }
        if let Some(error) = &waiting.last_error {
            line("last error", error.clone())?;
        }
    }
    if let CommandStatus::Processed(committed)
    | CommandStatus::Cancelled(committed)
    | CommandStatus::Conflicted(committed) = &info.status
    {
        match &committed.outcome {
            Outcome::Accepted => {
                let events = many(u64::from(committed.event_count), "event");
                line("outcome", format!("accepted, {events}"))?
            }
            Outcome::Refused { code, message, .. } => {
                line("outcome", format!("refused: {message} ({code})"))?
            }
        }
        line("ended at", committed.recorded_at.to_string())?;
        for written in &committed.versions {
            line("stream", format!("{} at version {}", written.stream, written.version))?;
        }
    }
    if let CommandStatus::Failed { died_at, is_final } = &info.status {
        let why = if *is_final { "no other attempt can succeed" } else { "its attempts were used up" };
        line("failed at", format!("{died_at}: {why}"))?;
    }
    Ok(())
}

async fn cancel(app: &App, key: &str, by: String) -> Result<(), ExitError> {
    let info = find(app, key).await?;
    if info.waiting.is_some() && info.submitted_at.is_none() {
        return Err(ExitError::invalid(format!(
            "the service itself sent command {} on; only what was submitted can be cancelled",
            info.command_id
        )));
    }
    let actor = Actor { name: Some(by), roles: Vec::new() };
    match app.engine.cancel_command(&app.tenant, &actor, info.command_id, |_| true).await? {
        Cancelled::Cancelled(info) if app.json => print_json(&shown(&info)),
        Cancelled::Cancelled(info) => {
            Ok(writeln!(super::out(), "command {} is cancelled; it never runs", info.command_id)?)
        }
        Cancelled::TooLate(info) => Err(ExitError::invalid(format!(
            "command {} is {} already; it cannot be cancelled any more",
            info.command_id,
            info.status.word()
        ))),
    }
}

async fn list(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let list = if matches.get_flag("failed") { CommandList::Failed } else { CommandList::Waiting };
    let mut left = matches.get_one("limit").copied().unwrap_or(100_u64);
    let mut commands = Vec::new();
    let mut after = Some(after_of(matches));
    while let Some(place) = after.filter(|_| left > 0) {
        let limit = usize::try_from(left).unwrap_or(PAGE).min(PAGE);
        let page = app.engine.commands(&app.tenant, list, place, limit).await?;
        left -= page.commands.len() as u64;
        commands.extend(page.commands);
        after = page.next;
    }
    let tell_rest = || match after {
        Some(next) => {
            let given: (&[&str], &[&str]) = (&["limit"], &["failed"]);
            tell_more(app, matches, "command list", given, &next.number().to_string())
        }
        None => Ok(()),
    };
    if app.json {
        print_list(commands.iter().map(shown))?;
        return tell_rest();
    }
    let row = |info: &CommandInfo| {
        let waiting = info.waiting.as_ref();
        let due_at = waiting.and_then(|waiting| waiting.due_at);
        vec![
            info.command_id.to_string(),
            match waiting {
                Some(waiting) if waiting.is_left => format!("{}, left", info.status.word()),
                Some(WaitingCommand { held_by: Some(letter), .. }) => {
                    format!("{}, behind dead letter {letter}", info.status.word())
                }
                _ => info.status.word().to_owned(),
            },
            for_whom(info),
            or_dash(due_at),
            waiting.map_or_else(String::new, |waiting| waiting.attempts.to_string()),
            or_dash(waiting.and_then(|waiting| waiting.last_error.as_ref())),
        ]
    };
    let headings = ["command", "status", "for", "due at", "attempts", "last error"];
    print_table(&headings, commands.iter().map(row).collect())?;
    tell_rest()
}

/// What a command that is not the first of its line waits for.
fn stands_behind(held_by: Option<WorkId>, service: &str) -> String {
    match held_by {
        Some(letter) => format!(
            "dead letter {letter}, and waits until somebody replays or discards it: `{service} dead-letters show \
             {letter}`"
        ),
        None => "another command of its aggregate".to_owned(),
    }
}

/// Whom a command is for, as its address has it.
fn for_whom(info: &CommandInfo) -> String {
    match info.waiting.as_ref().map(|waiting| (&waiting.receiver, &waiting.id, &waiting.command)) {
        Some((category, Some(id), command)) => format!("{category}/{id}/{command}"),
        Some((operation, None, _)) => format!("operations/{operation}"),
        None => String::new(),
    }
}

/// A command for programs.
fn shown(info: &CommandInfo) -> Value {
    let mut shown = json!({
        "command_id": info.command_id,
        "status": info.status.word(),
        "submitted_at": info.submitted_at,
    });
    let mut add = |name: &str, value: Value| {
        shown[name] = value;
    };
    if let Some(waiting) = &info.waiting {
        add("work_id", json!(waiting.work_id));
        add("for", json!(for_whom(info)));
        add("body", json!(waiting.body));
        add("actor", json!(waiting.actor.name));
        add("due_at", json!(waiting.due_at));
        add("attempts", json!(waiting.attempts));
        add("last_error", json!(waiting.last_error));
        add("urgent", json!(waiting.urgent));
        add("is_behind", json!(waiting.is_behind));
        add("held_by", json!(waiting.held_by));
        add("is_left", json!(waiting.is_left));
    }
    match &info.status {
        CommandStatus::Processed(committed)
        | CommandStatus::Cancelled(committed)
        | CommandStatus::Conflicted(committed) => {
            match &committed.outcome {
                Outcome::Accepted => add("outcome", json!("accepted")),
                Outcome::Refused { code, message, body } => {
                    add("outcome", json!("refused"));
                    add("refusal", json!({ "code": code, "message": message, "fields": body }));
                }
            }
            add("position", json!(committed.position));
            add("streams", json!(committed.versions));
            add("recorded_at", json!(committed.recorded_at));
        }
        CommandStatus::Failed { died_at, is_final } => {
            add("failed_at", json!(died_at));
            add("is_final", json!(is_final));
        }
        CommandStatus::Pending
        | CommandStatus::Consumed
        | CommandStatus::Discarded
        | CommandStatus::Uncertain => {}
    }
    shown
}
