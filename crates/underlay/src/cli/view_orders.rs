//! What persons order of views from the command line: carried out here, with how far it is, or left to the processes that
//! serve.

use std::io::Write;

use clap::ArgMatches;
use underlay_runtime::{
    OrderRequest, OrderStanding, OrderState, RebuildFrom, RowDifference, Verified, ViewOrder, ViewTask,
};

use super::progress::ProgressLine;
use super::user::who;
use super::{App, or_dash, print_json, print_table};
use crate::ExitError;

/// Rebuilds a view here, or leaves that to others.
pub(super) async fn rebuild(app: &App, view: &str, matches: &ArgMatches) -> Result<(), ExitError> {
    let from = if matches.get_flag("anew") { RebuildFrom::Start } else { RebuildFrom::WhereItWas };
    let Some(order) = carry_out(app, view, ViewTask::Rebuild, from, matches).await? else { return Ok(()) };
    let (generation, status) = (order.generation, app.engine.view_standing(view).await?.status);
    if app.json {
        let rebuilt = serde_json::json!({ "view": view, "generation": generation, "status": status });
        return print_json(&rebuilt);
    }
    let mut out = super::out();
    let number = or_dash(generation);
    writeln!(out, "view {view} is rebuilt: generation {number} is read now, and the view is {status}")?;
    Ok(writeln!(out, "`{} view revert {view}` brings back the one before", app.name)?)
}

/// Compares the rows of a view with rows that are folded anew, here, or leaves that to others.
pub(super) async fn verify(app: &App, view: &str, matches: &ArgMatches) -> Result<(), ExitError> {
    let task = if matches.get_flag("repair") { ViewTask::Repair } else { ViewTask::Verify };
    let from = RebuildFrom::default();
    let Some(order) = carry_out(app, view, task, from, matches).await? else { return Ok(()) };
    let verified = order.verified.clone().unwrap_or_default();
    if app.json {
        print_json(&OrderStanding::new(order, None))?;
    } else {
        print_verified(view, &verified)?;
    }
    if !verified.differs() {
        return Ok(());
    }
    let name = &app.name;
    match task {
        ViewTask::Repair if app.json => Ok(()),
        ViewTask::Repair => {
            let text =
                format!("view {view} is repaired; `{name} view revert {view}` brings back the rows before");
            Ok(writeln!(super::out(), "{text}")?)
        }
        _ => Err(ExitError::failed(format!(
            "the rows of view {view} are not what its events say; `{name} view rebuild {view}` swaps in the rows that \
             were folded anew, `{name} view discard {view}` gives them up"
        ))),
    }
}

/// Cancels what is ordered of a view.
pub(super) async fn cancel(app: &App, view: &str, matches: &ArgMatches) -> Result<(), ExitError> {
    let cancelled = app.engine.cancel_order(view, &who(matches)?).await?;
    if app.json {
        return print_json(&cancelled);
    }
    let text = format!(
        "view {view} is no longer to be {}; what was built stays until `{} view discard {view}`",
        cancelled.order.task.doing(),
        app.name
    );
    Ok(writeln!(super::out(), "{text}")?)
}

/// Prints how far the orders are that stand, and how those ended that were given last.
pub(super) fn print_order(view: &str, standing: &OrderStanding) -> Result<(), ExitError> {
    let OrderStanding { order, carried_out_by, .. } = standing;
    let (doing, by, at) = (order.task.doing(), &order.ordered_by, order.ordered_at);
    let told = match order.state {
        OrderState::Done => {
            let differs = order.verified.as_ref().is_some_and(Verified::differs);
            let found = match (&order.verified, differs) {
                (None, _) => "",
                (Some(_), false) => ", and its rows are the true ones",
                (Some(_), true) if order.task == ViewTask::Repair => ", and its rows were repaired",
                (Some(_), true) => ", and its rows are not the true ones",
            };
            format!("was {doing} for {by}{found}; {}", or_dash(order.ended_at))
        }
        OrderState::Failed => {
            format!(
                "was to be {doing} for {by} and was not: {}",
                order.reason.as_deref().unwrap_or("it failed")
            )
        }
        OrderState::Cancelled => {
            format!("was to be {doing} for {by}: {}", order.reason.as_deref().unwrap_or("it was cancelled"))
        }
        _ => {
            let who = match (carried_out_by, order.in_background) {
                (Some(process), _) => format!("by {process}"),
                (None, true) => "and waits for a process that keeps the view".to_owned(),
                (None, false) => "and was interrupted; the same command goes on with it".to_owned(),
            };
            format!("is to be {doing} for {by} since {at}, {who}: {}", progress_of(standing))
        }
    };
    Ok(writeln!(super::out(), "{view} {told}")?)
}

/// Orders something and carries it out here; none where it is left to others.
async fn carry_out(
    app: &App,
    view: &str,
    task: ViewTask,
    from: RebuildFrom,
    matches: &ArgMatches,
) -> Result<Option<ViewOrder>, ExitError> {
    let in_background = matches.get_flag("background");
    let request = OrderRequest { task, from, by: who(matches)?, in_background };
    if !app.json
        && task == ViewTask::Rebuild
        && from == RebuildFrom::WhereItWas
        && let Some(begun) = app.engine.view_info(view).await?.and_then(|info| info.building)
    {
        let position = begun.checkpoint.position;
        let _unseen = writeln!(
            std::io::stderr().lock(),
            "view {view}: a rebuild was interrupted at {position}; it goes on there, if it is of this \
             definition (--anew begins again)"
        );
    }
    let order = app.engine.order_view(view, &request).await?;
    if in_background {
        if app.json {
            print_json(&OrderStanding::new(order, None))?;
        } else {
            let text = format!(
                "view {view} is to be {}; a process that serves it does that, and `{} view status` shows how far it is",
                order.task.doing(),
                app.name
            );
            writeln!(super::out(), "{text}")?;
        }
        return Ok(None);
    }
    let mut line = ProgressLine::new(app);
    let told = |order: &ViewOrder| {
        let Some(progress) = &order.progress else { return };
        line.tell(progress.at, || {
            let standing = OrderStanding::new(order.clone(), None);
            match app.json {
                true => progress_json(view, &standing).to_string(),
                false => format!("view {view}: {}", progress_of(&standing)),
            }
        });
    };
    let carried = app.engine.carry_out_order(view, told).await;
    line.end();
    Ok(Some(carried?))
}

/// How far an order is, for programs.
fn progress_json(view: &str, standing: &OrderStanding) -> serde_json::Value {
    let order = &standing.order;
    let progress = order.progress.as_ref();
    serde_json::json!({
        "view": view,
        "state": order.state,
        "position": progress.map(|progress| progress.position),
        "to": progress.map(|progress| progress.to),
        "rate": standing.rate,
        "seconds_left": standing.seconds_left,
        "rows": order.verified.as_ref().map(|verified| verified.rows),
    })
}

/// How far an order is, for people.
fn progress_of(standing: &OrderStanding) -> String {
    let order = &standing.order;
    let Some(progress) = &order.progress else { return "it was not begun".to_owned() };
    if order.state == OrderState::Comparing {
        let verified = order.verified.clone().unwrap_or_default();
        let differ = verified.changed + verified.missing + verified.extra;
        return format!(
            "comparing at position {}: {} rows, {differ} differ",
            progress.position, verified.rows
        );
    }
    let share = match progress.to.number() {
        0 => 100,
        to => u128::from(progress.position.number()) * 100 / u128::from(to),
    };
    let rate = standing.rate.map(|rate| format!(", {rate} events/s")).unwrap_or_default();
    let left = standing.seconds_left.map(|left| format!(", {} left", time_text(left))).unwrap_or_default();
    let word = if order.state == OrderState::Swapping { "swapping in" } else { "folding" };
    format!("{word} at position {} of {} ({share} %){rate}{left}", progress.position, progress.to)
}

fn time_text(seconds: u64) -> String {
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

fn print_verified(view: &str, verified: &Verified) -> Result<(), ExitError> {
    let row = |difference: &RowDifference| {
        vec![
            difference.tenant.to_string(),
            difference.key.clone(),
            difference.column.clone().unwrap_or_else(|| "the row".to_owned()),
            difference.served.clone().unwrap_or_else(|| "none".to_owned()),
            difference.expected.clone().unwrap_or_else(|| "none".to_owned()),
            difference.position.to_string(),
        ]
    };
    if !verified.first.is_empty() {
        let headings = ["tenant", "key", "column", "served", "expected", "at position"];
        print_table(&headings, verified.first.iter().map(row).collect())?;
    }
    let mut out = super::out();
    for alteration in &verified.alterations {
        writeln!(out, "view {view}: its table was altered by hand: {alteration}")?;
    }
    if let Some(unreadable) = &verified.unreadable {
        writeln!(out, "view {view}: its rows cannot be read: {unreadable}")?;
    }
    let Verified { rows, changed, missing, extra, .. } = verified;
    let compared = if *rows == 1 { "row was compared" } else { "rows were compared" };
    Ok(writeln!(
        out,
        "view {view}: {rows} {compared}; {changed} with another content, {missing} missing, {extra} that should not \
         be there"
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_the_units_that_matter() {
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3_599, "59 min 59 s"), (7_384, "2 h 3 min")]
        {
            assert_eq!(time_text(seconds), text);
        }
    }
}
