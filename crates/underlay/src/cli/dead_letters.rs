use std::io::Write;

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use underlay_core::{WorkFilter, WorkId, WorkInfo, WorkStanding};
use underlay_runtime::{LetterOrder, ListedWork};
use uuid::Uuid;

use super::outbox::{WorkLine, every_tenant, filter, filters, limit, print_work, tenant, whose};
use super::pages::{after, many};
use super::user::who;
use super::{App, log_to_stderr, print_json};
use crate::ExitError;

pub(super) fn command() -> clap::Command {
    let id = |is_required| {
        Arg::new("id")
            .required(is_required)
            .value_name("ID")
            .value_parser(value_parser!(Uuid))
            .help("The id of a dead letter, as `dead-letters list` shows it")
    };
    let order = |name: &'static str, about: &'static str| {
        clap::Command::new(name)
            .about(about)
            .arg(id(false).conflicts_with_all(["receiver", "key", "kind", "all"]))
            .args(filters())
            .arg(Arg::new("all").long("all").action(ArgAction::SetTrue).help("All of them of the tenant"))
            .arg(
                Arg::new("yes")
                    .long("yes")
                    .action(ArgAction::SetTrue)
                    .help("Do it; without, it is only said how many there are"),
            )
            .arg(
                Arg::new("as")
                    .long("as")
                    .value_name("NAME")
                    .help("Who orders it, for the log [default: the user of the system]"),
            )
    };
    clap::Command::new("dead-letters")
        .about("Look at work that was given up, and try it again or remove it")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            clap::Command::new("list")
                .about("Print dead letters of a tenant, the oldest first")
                .args(filters())
                .arg(after())
                .arg(limit()),
        )
        .subcommand(
            clap::Command::new("show").about("Print one, with what was sent and why it failed").arg(id(true)),
        )
        .arg(every_tenant())
        .subcommand(order("replay", "Try one again, or all that a filter finds"))
        .subcommand(order("discard", "Remove one for ever, or all that a filter finds"))
}

pub(super) async fn run(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    app.engine.queue()?;
    match matches.subcommand() {
        Some(("show", matches)) => show(app, matches).await,
        Some(("replay", matches)) => settle(app, matches, LetterOrder::Replay).await,
        Some(("discard", matches)) => settle(app, matches, LetterOrder::Discard).await,
        Some((_, matches)) => list(app, matches).await,
        None => Ok(()),
    }
}

/// When it died and how, for a table.
fn died(info: &WorkInfo) -> [String; 3] {
    match &info.standing {
        WorkStanding::Dead { died_at, is_final, holds } => [
            died_at.to_string(),
            if *is_final { "final".to_owned() } else { "used up".to_owned() },
            if *holds { "held".to_owned() } else { "free".to_owned() },
        ],
        _ => [const { String::new() }; 3],
    }
}

async fn list(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let row = |ListedWork { info, .. }: &ListedWork| {
        let (sent, [died_at, attempts, key]) = (&info.work.sent, died(info));
        [
            info.work.id.to_string(),
            info.work.tenant.to_string(),
            sent.receiver.clone(),
            sent.kind.name().to_owned(),
            sent.name.clone(),
            sent.key.clone(),
            key,
            died_at,
            format!("{} {attempts}", info.work.attempts),
            info.work.last_error.clone().unwrap_or_default(),
        ]
    };
    let headings = [
        "id",
        "tenant",
        "receiver",
        "kind",
        "name",
        "key",
        "its key is",
        "died at",
        "attempts",
        "last error",
    ];
    let filter = WorkFilter { dead: true, ..filter(app, matches)? };
    print_work(app, "dead-letters list", &filter, matches, headings, row).await
}

fn id_of(matches: &ArgMatches) -> Option<WorkId> {
    matches.get_one::<Uuid>("id").copied().map(WorkId)
}

async fn show(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let id = id_of(matches).ok_or_else(|| ExitError::invalid("which dead letter?"))?;
    let of_tenant = WorkFilter { tenant: tenant(app, matches)?, ..WorkFilter::default() };
    let found = app.engine.find_dead_letter(&of_tenant, id).await?;
    if app.json {
        return print_json(&WorkLine::of(&ListedWork { info: found, has_ended: false, held_by: None }));
    }
    let (work, sent, [died_at, attempts, key]) = (&found.work, &found.work.sent, died(&found));
    let mut out = super::out();
    for (what, text) in [
        ("id", work.id.to_string()),
        ("tenant", work.tenant.to_string()),
        ("receiver", format!("{} ({})", sent.receiver, sent.kind.name())),
        ("name", format!("{}, version {}", sent.name, sent.version)),
        ("key", format!("{}; it is {key}", sent.key)),
        ("sent at", format!("{}, by commit {}", work.sent_at, work.commit_id)),
        ("died at", died_at),
        ("attempts", format!("{}, {attempts}", work.attempts)),
        ("last error", work.last_error.clone().unwrap_or_default()),
        ("metadata", work.metadata.as_str().to_owned()),
        ("payload", sent.payload.text().as_str().to_owned()),
    ] {
        writeln!(out, "{what:<10} {text}")?;
    }
    Ok(())
}

async fn settle(app: &App, matches: &ArgMatches, order: LetterOrder) -> Result<(), ExitError> {
    let _last_lines = log_to_stderr(&app.config.settings, false);
    let done = order.done();
    if let Some(id) = id_of(matches) {
        let of_tenant = WorkFilter { tenant: tenant(app, matches)?, ..WorkFilter::default() };
        let found = app.engine.find_dead_letter(&of_tenant, id).await?;
        app.engine.settle_dead_letter(order, &found.work.tenant, id, &who(matches)?).await?;
        return told(app, 1, done, format!("dead letter {id} of {} is {done}", found.work.tenant));
    }
    let filter = filter(app, matches)?;
    let whose = whose(filter.tenant.as_ref());
    let is_narrow = filter != WorkFilter { tenant: filter.tenant.clone(), ..WorkFilter::default() };
    if !is_narrow && !matches.get_flag("all") {
        return Err(ExitError::invalid(format!(
            "which? name one by its ID, some by --receiver, --key or --kind, or say --all for all of {whose}"
        )));
    }
    let counted = app.engine.count_dead_letters(&filter).await?;
    let left = if order == LetterOrder::Replay { counted.told } else { 0 };
    let rest = match left {
        0 => String::new(),
        1 => "; 1 stays: of this command a process was told that it failed".to_owned(),
        left => format!("; {left} stay: of these commands a process was told that they failed"),
    };
    if !matches.get_flag("yes") {
        let count = counted.count - left;
        return told(
            app,
            count,
            "found",
            format!("{} of {whose} would be {done}; say --yes to do it{rest}", letters(count)),
        );
    }
    let count = app.engine.settle_dead_letters(order, &filter, counted.last, &who(matches)?).await?;
    let verb = if count == 1 { "is" } else { "are" };
    told(app, count, done, format!("{} of {whose} {verb} {done}{rest}", letters(count)))
}

fn letters(count: usize) -> String {
    many(count as u64, "dead letter")
}

fn told(app: &App, count: usize, done: &str, text: String) -> Result<(), ExitError> {
    if app.json {
        return print_json(&serde_json::json!({ done: count }));
    }
    Ok(writeln!(super::out(), "{text}")?)
}
