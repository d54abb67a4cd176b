use std::io::Write;

use underlay_core::ViewStop;
use underlay_runtime::{FollowerStanding, FollowerStatus};

use super::{App, or_dash, print_json, print_list, print_table};
use crate::ExitError;

/// Prints where processes or pumps stand; `words` are what one is called and who keeps it.
pub(super) fn print_followers(
    app: &App,
    [word, held_by]: [&str; 2],
    followers: &[FollowerStanding],
) -> Result<(), ExitError> {
    if app.json {
        return print_list(followers);
    }
    let row = |standing: &FollowerStanding| {
        vec![
            standing.name.clone(),
            standing.status.to_string(),
            standing.position.to_string(),
            standing.behind.to_string(),
            or_dash(standing.held_by.as_ref()),
        ]
    };
    print_table(&[word, "status", "position", "behind", held_by], followers.iter().map(row).collect())?;
    followers.iter().try_for_each(|FollowerStanding { name, status, stop, problem, .. }| {
        print_problem(name, *status, stop.as_ref(), problem.as_deref())
    })
}

/// Prints that a process or a pump was told to try again; `word` is what it is.
pub(super) fn print_retried(app: &App, word: &str, name: &str, was_stopped: bool) -> Result<(), ExitError> {
    if app.json {
        return print_json(&serde_json::json!({ word: name, "was_stopped": was_stopped }));
    }
    let text = match was_stopped {
        true => format!("tries again within a poll; `{} {word} status` shows what comes of it", app.name),
        false => "is not stopped".to_owned(),
    };
    Ok(writeln!(super::out(), "{word} {name} {text}")?)
}

/// Prints why a follower of the log does not go on, and since when.
pub(super) fn print_problem(
    name: &str,
    status: FollowerStatus,
    stop: Option<&ViewStop>,
    problem: Option<&str>,
) -> Result<(), ExitError> {
    let Some(problem) = problem else { return Ok(()) };
    let since = stop.map(|stop| format!(" since {}", stop.since)).unwrap_or_default();
    Ok(writeln!(super::out(), "{name} is {status}{since}: {problem}")?)
}
