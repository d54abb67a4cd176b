use std::io::Write;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use underlay_core::ProcessStart;
use underlay_core::limits::PAGE_ROWS_MAX;
use underlay_runtime::{
    CommandInfo, CommandStatus, ProcessFilter, ProcessInstance, ProcessPage, ProcessSummary,
};

use super::followers::{print_followers, print_retried};
use super::pages::{many, tell_more};
use super::{App, or_dash, print_json, print_list, print_table};
use crate::ExitError;

pub(super) fn command() -> clap::Command {
    let process = || Arg::new("process").required(true).value_name("PROCESS").help("Its name");
    let only = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    clap::Command::new("process")
        .about("Look at processes and their instances, and repair them")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(clap::Command::new("status").about("Print every process, with how far it follows the log"))
        .subcommand(
            clap::Command::new("list")
                .about("Print the instances of a process, with what they wait for")
                .arg(Arg::new("process").value_name("PROCESS").help("Its name; without one, of every process"))
                .arg(only("open", "Print only those that are not finished"))
                .arg(only("finished", "Print only those that are finished"))
                .arg(only("stuck", "Print only those that stand still: an input of theirs, or a command that they wait for, is held by a dead letter"))
                .group(clap::ArgGroup::new("filter").args(["open", "finished", "stuck"]))
                .arg(
                    Arg::new("after")
                        .long("after")
                        .value_name("INSTANCE")
                        .help("Print only instances after this one, in the order of their names"),
                )
                .arg(
                    Arg::new("limit")
                        .long("limit")
                        .value_name("N")
                        .default_value("100")
                        .allow_negative_numbers(true)
                        .value_parser(value_parser!(u64).range(1..=PAGE_ROWS_MAX as u64))
                        .help("Print at most N instances"),
                ),
        )
        .subcommand(
            clap::Command::new("show")
                .about("Print an instance: its stream, its state, what it waits for and until when")
                .arg(process())
                .arg(Arg::new("instance").required(true).value_name("INSTANCE").help("Its name")),
        )
        .subcommand(
            clap::Command::new("retry").about("Tell a process to try again that is stopped").arg(process()),
        )
        .subcommand(
            clap::Command::new("restart")
                .about("Make a process follow the log from another place; what an instance has taken is not given to it again")
                .long_about(
                    "Make a process follow the log from another place. What an instance has taken is not given to it \
                     again. An event at which it did not begin is forgotten after the time of `empty_commits_kept`: \
                     from then on it is given again, also where the instance has begun since",
                )
                .arg(process())
                .arg(
                    Arg::new("from")
                        .long("from")
                        .required(true)
                        .value_name("PLACE")
                        .value_parser(PossibleValuesParser::new(["beginning", "now"]))
                        .help("The beginning of the log, or its head"),
                ),
        )
}

pub(super) async fn run(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let Some((name, matches)) = matches.subcommand() else { return status(app).await };
    let given = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    match name {
        "list" => list(app, &given("process"), matches).await,
        "show" => show(app, &given("process"), &given("instance")).await,
        "retry" => {
            let process = given("process");
            print_retried(app, "process", &process, app.engine.retry_process(&process).await?)
        }
        "restart" => restart(app, &given("process"), &given("from")).await,
        _ => status(app).await,
    }
}

async fn status(app: &App) -> Result<(), ExitError> {
    print_followers(app, ["process", "followed by"], &app.engine.process_standings().await?)
}

/// A page of the instances of one process.
struct Listed {
    process: String,
    page: ProcessPage,
}

async fn list(app: &App, process: &str, matches: &ArgMatches) -> Result<(), ExitError> {
    let filter = match () {
        () if matches.get_flag("open") => ProcessFilter::Open,
        () if matches.get_flag("finished") => ProcessFilter::Finished,
        () if matches.get_flag("stuck") => ProcessFilter::Stuck,
        () => ProcessFilter::Every,
    };
    let after = matches.get_one::<String>("after").map(String::as_str);
    let limit = matches.get_one::<u64>("limit").copied().unwrap_or(100);
    let limit = usize::try_from(limit).unwrap_or(PAGE_ROWS_MAX);
    let all = app.engine.registry().process_states();
    let names: Vec<&str> = match process {
        "" => all.iter().map(|(process, _)| process.name).collect(),
        process => vec![process],
    };
    let mut listed = Vec::new();
    for process in names {
        let page = app.engine.processes(&app.tenant, process, filter, after, limit).await?;
        listed.push(Listed { process: process.to_owned(), page });
    }
    let instances = listed.iter().flat_map(|listed| &listed.page.instances);
    let row = |instance: &ProcessSummary| {
        vec![
            instance.process.clone(),
            instance.instance.clone(),
            standing(instance.is_stuck, instance.is_finished, instance.ended_as.as_deref()),
            instance.steps.to_string(),
            instance.waits_for.clone(),
            or_dash(instance.next_due_at),
            or_dash(instance.changed_at),
        ]
    };
    let headings = ["process", "instance", "status", "steps", "waits for", "next timer", "changed at"];
    match app.json {
        true => print_list(instances)?,
        false => print_table(&headings, instances.map(row).collect())?,
    }
    for Listed { process, page } in &listed {
        if let Some(next) = &page.next {
            let given: (&[&str], &[&str]) = (&["limit"], &["open", "finished", "stuck"]);
            tell_more(app, matches, &format!("process list {process}"), given, next)?;
        }
    }
    Ok(())
}

async fn show(app: &App, process: &str, instance: &str) -> Result<(), ExitError> {
    let shown = app.engine.process(&app.tenant, process, instance).await?;
    if app.json {
        return print_json(&shown);
    }
    let is_stuck = !shown.dead_letters.is_empty() || shown.commands.iter().any(|one| one.held_by.is_some());
    let word = standing(is_stuck, shown.is_finished, shown.ended_as.as_deref());
    let mut out = super::out();
    let ProcessInstance { stream, version, .. } = &shown;
    let steps = many(version.0, "step");
    writeln!(
        out,
        "{process} {instance} is {word}, after {steps}; `{} stream {stream}` prints them",
        app.name
    )?;
    if let Some(last_input) = &shown.last_input {
        writeln!(out, "began at {}, last input: {last_input}", or_dash(shown.began_at))?;
    }
    if let Some(state) = &shown.state {
        writeln!(out, "state of version {}: {}", or_dash(shown.state_version), state.as_str())?;
    }
    for command in &shown.commands {
        writeln!(
            out,
            "waits for command {} ({}), sent at {}",
            command.name, command.command_id, command.sent_at
        )?;
        // The instance goes on once that has ended: what keeps it from that is told here.
        let found = app.engine.look_for_command(&app.tenant, command.command_id).await?;
        let waiting = found.as_ref().and_then(|found| found.waiting.as_ref());
        if let Some(letter) = command.held_by {
            writeln!(
                out,
                "  it stands behind dead letter {letter} of its aggregate: nothing goes on before"
            )?;
        } else if let Some(CommandInfo { status: CommandStatus::Failed { died_at, .. }, .. }) = &found {
            writeln!(out, "  it was given up at {died_at}")?;
        } else if let Some(error) = waiting.and_then(|waiting| waiting.last_error.as_ref()) {
            writeln!(out, "  it is tried again, and failed last because: {error}")?;
        }
    }
    for timer in &shown.timers {
        writeln!(out, "waits for timer {} until {}", timer.name, timer.due_at)?;
    }
    if !shown.undos.is_empty() {
        writeln!(out, "would be undone by: {}", shown.undos.join(", "))?;
    }
    for letter in &shown.dead_letters {
        let (attempts, error) = (many(u64::from(letter.attempts), "attempt"), &letter.error);
        writeln!(
            out,
            "stands still behind dead letter {} ({}), given up at {} after {attempts}: {error}",
            letter.work_id, letter.name, letter.died_at
        )?;
    }
    for letter in &shown.sent_letters {
        writeln!(
            out,
            "sent {} to {}, which is dead letter {}, given up at {} after {}: {}",
            letter.name,
            letter.receiver,
            letter.work_id,
            letter.died_at,
            many(u64::from(letter.attempts), "attempt"),
            letter.error
        )?;
    }
    Ok(())
}

/// Where an instance stands, in a word or two.
fn standing(is_stuck: bool, is_finished: bool, ended_as: Option<&str>) -> String {
    match (is_stuck, is_finished, ended_as) {
        (true, ..) => "stuck".to_owned(),
        (false, true, Some(how)) => format!("finished: {how}"),
        (false, true, None) => "finished".to_owned(),
        (false, false, _) => "open".to_owned(),
    }
}

async fn restart(app: &App, process: &str, from: &str) -> Result<(), ExitError> {
    let from = if from == "beginning" { ProcessStart::Beginning } else { ProcessStart::Now };
    let position = app.engine.restart_process(process, from).await?;
    if app.json {
        return print_json(&serde_json::json!({ "process": process, "position": position }));
    }
    let text = format!("process {process} follows the log after position {position}");
    Ok(writeln!(super::out(), "{text}")?)
}

#[cfg(test)]
mod tests {
    use underlay_core::{Input, Process, Recorded, Step, StepContext};
    use underlay_derive::{event, value};

    use crate::{Exit, Service, cli};

    #[event(crate = underlay_core)]
    enum Note {
        #[event(name = "noted", version = 1)]
        Noted,
    }

    #[value(crate = underlay_core)]
    struct Notes {
        count: u32,
    }

    struct Counting;

    impl Process for Counting {
        const NAME: &'static str = "counting";
        type Event = Note;
        type State = Notes;

        fn route(&self, _: &Recorded<Note>) -> Option<String> {
            Some("all".to_owned())
        }

        fn step(&self, state: Option<&Notes>, _: &Input<Note>, _: &StepContext) -> Step<Notes> {
            Step::to(Notes { count: state.map_or(0, |state| state.count) + 1 })
        }
    }

    #[test]
    fn processes_are_listed_shown_and_mended() {
        let asked = |words: &str| {
            let service = Service::new("bank").process(Counting);
            let words = format!("bank --database memory: process {words}");
            cli::main(&service, words.split(' ').map(Into::into))
        };
        for words in
            ["status", "status --json", "list counting", "list counting --stuck --limit 5 --after a --json"]
        {
            assert_eq!(asked(words), Exit::Done, "{words}");
        }
        for words in ["retry counting", "retry counting --json", "restart counting --from beginning"] {
            assert_eq!(asked(words), Exit::Done, "{words}");
        }
        for words in ["show counting all", "list nothing", "retry nothing"] {
            assert_eq!(asked(words), Exit::NotFound, "{words}");
        }
        for words in
            ["show counting", "list counting --open --stuck", "restart counting", "list counting --limit 0"]
        {
            assert_eq!(asked(words), Exit::Invalid, "{words}");
        }
    }
}
