use clap::{Arg, ArgAction, ArgMatches, value_parser};
use serde::Serialize;
use underlay_core::limits::WORK_PAGE_MAX;
use underlay_core::{TenantId, Timestamp, WorkFilter, WorkId, WorkKind, WorkStanding};
use underlay_runtime::{ListedWork, QueueStanding};

use super::pages::{after, after_of, tell_more};
use super::{App, or_dash, print_json, print_list, print_table};
use crate::ExitError;

/// The flag for the work of every tenant.
const EVERY_TENANT: &str = "every-tenant";

pub(super) fn command() -> clap::Command {
    clap::Command::new("outbox")
        .about("Print how many messages wait for each handler, and how late they are")
        .arg(
            Arg::new("all")
                .long("all")
                .action(ArgAction::SetTrue)
                .help("Every kind of work: stored commands, and inputs and timers of processes too"),
        )
        .arg(every_tenant())
        .after_help(
            "Later is what waits for its moment, or is tried again. A command that was cancelled, and a timer that was \
             taken back, count there until their moment; nothing comes of them.",
        )
        .subcommand(
            clap::Command::new("list")
                .about(
                    "Print the work of every kind that waits, the oldest first; dead letters have a command of their own",
                )
                .args(filters())
                .arg(after())
                .arg(limit()),
        )
}

/// Asks for the work of every tenant: without it, that of the configured one is meant. It stands with a command and with
/// those below it.
pub(super) fn every_tenant() -> Arg {
    Arg::new(EVERY_TENANT)
        .long(EVERY_TENANT)
        .action(ArgAction::SetTrue)
        .global(true)
        .help("The work of every tenant, in place of that of --tenant")
}

/// Whose work is meant; none where it is that of every tenant.
pub(super) fn tenant(app: &App, matches: &ArgMatches) -> Result<Option<TenantId>, ExitError> {
    match (matches.get_flag(EVERY_TENANT), matches.contains_id("tenant")) {
        (true, true) => Err(ExitError::invalid("--tenant and --every-tenant contradict each other; say one")),
        (true, false) => Ok(None),
        (false, _) => Ok(Some(app.tenant.clone())),
    }
}

/// Whose work something is about, for people.
pub(super) fn whose(tenant: Option<&TenantId>) -> String {
    tenant.map_or_else(|| "every tenant".to_owned(), |tenant| format!("tenant {tenant}"))
}

/// What a list of work is narrowed down by. `--tenant` is there for every command.
pub(super) fn filters() -> [Arg; 3] {
    let filter = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    [
        filter("receiver", "NAME", "Only what this handler, category, operation or process does"),
        filter("key", "KEY", "Only what has this key"),
        filter("kind", "KIND", "Only this kind of work").value_parser(WorkKind::ALL.map(WorkKind::name)),
    ]
}

pub(super) fn limit() -> Arg {
    Arg::new("limit")
        .long("limit")
        .value_name("COUNT")
        .default_value("100")
        .allow_negative_numbers(true)
        .value_parser(value_parser!(u64).range(1..=WORK_PAGE_MAX as u64))
        .help("How many are printed at most")
}

/// The filter that the arguments name: of the configured tenant, or of every one where that is said.
pub(super) fn filter(app: &App, matches: &ArgMatches) -> Result<WorkFilter, ExitError> {
    let given = |name: &str| matches.get_one::<String>(name).cloned();
    Ok(WorkFilter {
        tenant: tenant(app, matches)?,
        dead: false,
        holds: false,
        kind: given("kind").as_deref().and_then(WorkKind::from_name),
        receiver: given("receiver"),
        key: given("key"),
    })
}

fn limit_of(matches: &ArgMatches) -> usize {
    matches
        .get_one::<u64>("limit")
        .map_or(WORK_PAGE_MAX, |limit| usize::try_from(*limit).unwrap_or(WORK_PAGE_MAX))
}

pub(super) async fn run(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    app.engine.queue()?;
    match matches.subcommand() {
        Some(("list", matches)) => list(app, matches).await,
        _ => depths(app, matches).await,
    }
}

async fn depths(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let all = matches.get_flag("all");
    let queues = match tenant(app, matches)? {
        Some(tenant) => app.engine.tenant_queues(&tenant).await?,
        None => app.engine.work_standings().await?.queues,
    };
    let wanted = |queue: &&QueueStanding| all || queue.depth.kind == WorkKind::Message;
    let queues: Vec<&QueueStanding> = queues.iter().filter(wanted).collect();
    if app.json {
        return print_list(&queues);
    }
    let row = |queue: &&QueueStanding| {
        let depth = &queue.depth;
        let [ready, later, dead] = depth.counts();
        vec![
            depth.receiver.clone(),
            depth.kind.name().to_owned(),
            ready,
            later,
            dead,
            or_dash(depth.oldest_sent_at),
            or_dash(depth.oldest_sent_at.map(|_| format!("{} s", queue.lag.as_secs()))),
            if queue.is_received { "here" } else { "not here" }.to_owned(),
        ]
    };
    let headings = ["receiver", "kind", "ready", "later", "dead", "oldest", "lag", "received"];
    print_table(&headings, queues.iter().map(row).collect())
}

/// A piece of work, as programs read it.
#[derive(Debug, Serialize)]
pub(super) struct WorkLine<'a> {
    pub(super) work_id: String,
    /// What `--after` is for what comes after it.
    place: String,
    tenant: &'a TenantId,
    kind: WorkKind,
    receiver: &'a str,
    key: &'a str,
    name: &'a str,
    version: u32,
    #[serde(flatten)]
    standing: &'a WorkStanding,
    /// Of a command that waits for its moment: whether nothing comes of it, since it was cancelled or executed directly.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    has_ended: bool,
    /// The dead letter that it stands behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_by: Option<WorkId>,
    attempts: u32,
    last_error: Option<&'a str>,
    due_at: Option<Timestamp>,
    sent_at: Timestamp,
    commit_id: String,
    payload: &'a str,
}

impl<'a> WorkLine<'a> {
    pub(super) fn of(ListedWork { info, has_ended, held_by }: &'a ListedWork) -> Self {
        let (work, sent) = (&info.work, &info.work.sent);
        Self {
            work_id: work.id.to_string(),
            place: work.place.number().to_string(),
            tenant: &work.tenant,
            kind: sent.kind,
            receiver: &sent.receiver,
            key: &sent.key,
            name: &sent.name,
            version: sent.version.0,
            standing: &info.standing,
            has_ended: *has_ended,
            held_by: *held_by,
            attempts: work.attempts,
            last_error: work.last_error.as_deref(),
            due_at: sent.due_at,
            sent_at: work.sent_at,
            commit_id: work.commit_id.to_string(),
            payload: sent.payload.text().as_str(),
        }
    }
}

/// Prints what a filter finds, page by page: a line each for programs, or a table that keeps no payload.
pub(super) async fn print_work<const COLUMNS: usize>(
    app: &App,
    words: &str,
    filter: &WorkFilter,
    matches: &ArgMatches,
    headings: [&str; COLUMNS],
    row: impl Fn(&ListedWork) -> [String; COLUMNS],
) -> Result<(), ExitError> {
    let (mut after, mut left, mut rows) = (Some(after_of(matches)), limit_of(matches), Vec::new());
    while let Some(place) = after.filter(|_| left > 0) {
        let page = app.engine.list_work(filter, place, left).await?;
        for listed in &page.work {
            if app.json {
                print_json(&WorkLine::of(listed))?;
            } else {
                rows.push(row(listed).to_vec());
            }
        }
        left -= page.work.len();
        after = page.next;
    }
    if !app.json {
        print_table(&headings, rows)?;
    }
    let Some(next) = after else { return Ok(()) };
    let options: &[&str] = &["receiver", "key", "kind", "limit"];
    tell_more(app, matches, words, (options, &[EVERY_TENANT]), &next.number().to_string())
}

async fn list(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let row = |ListedWork { info, has_ended, held_by }: &ListedWork| {
        let sent = &info.work.sent;
        let standing = match &info.standing {
            WorkStanding::Later if *has_ended => format!("has ended, gone at {}", or_dash(sent.due_at)),
            WorkStanding::Ready => "ready".to_owned(),
            WorkStanding::Later => sent.due_at.map_or_else(|| "later".to_owned(), |due| format!("due {due}")),
            WorkStanding::Behind => match held_by {
                Some(letter) => format!("behind dead letter {letter}"),
                None => "behind its key".to_owned(),
            },
            WorkStanding::Dead { .. } => "dead".to_owned(),
        };
        [
            info.work.id.to_string(),
            info.work.tenant.to_string(),
            sent.receiver.clone(),
            sent.kind.name().to_owned(),
            sent.name.clone(),
            sent.key.clone(),
            standing,
            info.work.attempts.to_string(),
            or_dash(info.work.last_error.as_ref()),
        ]
    };
    let headings = ["id", "tenant", "receiver", "kind", "name", "key", "stands", "attempts", "last error"];
    print_work(app, "outbox list", &filter(app, matches)?, matches, headings, row).await
}
