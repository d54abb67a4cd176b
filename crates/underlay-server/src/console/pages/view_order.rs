//! What is ordered of a view as a whole, for operators of the store: how far it is, and the forms that order it.

use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use underlay_core::{Error, Position, StopCause};
use underlay_runtime::{
    FollowerStatus, OrderProgress, OrderRequest, OrderStanding, OrderState, RebuildFrom, Verified,
    ViewStanding, ViewTask,
};

use super::view::time_left;
use super::views::path_of;
use crate::admin::by;
use crate::console::form::{Posted, button, form};
use crate::console::show::{Tone, moment, number, sentence, status, table};
use crate::console::visitor::Visitor;
use crate::path::Segments;
use crate::problem::Problem;

/// `POST /console/views/{view}/orders/{order}`.
pub(super) async fn give(
    visitor: Visitor,
    Segments((view, order)): Segments<(String, String)>,
    Posted(mut fields): Posted,
) -> Result<Response, Problem> {
    let (app, engine) = (&visitor.app, visitor.app.engine());
    app.schema(&view)?;
    let by = by(&visitor.principal);
    let mut take = |name: &str| fields.take(name);
    let task = async |task, from| {
        let request = OrderRequest { task, from, by: by.clone(), in_background: true };
        engine.order_view(&view, &request).await.map(drop)
    };
    match order.as_str() {
        "rebuild" => {
            let from = match take("from_start")? {
                Some(_) => RebuildFrom::Start,
                None => RebuildFrom::WhereItWas,
            };
            task(ViewTask::Rebuild, from).await?;
        }
        "verify" => task(ViewTask::Verify, RebuildFrom::default()).await?,
        "repair" => task(ViewTask::Repair, RebuildFrom::default()).await?,
        "cancel" => drop(engine.cancel_order(&view, &by).await?),
        "revert" => {
            let generation = engine.revert_view(&view).await?;
            tracing::info!(view, generation, by, "a generation was brought back");
        }
        "discard" => drop(engine.discard_view(&view, &by).await?),
        "retry" => drop(engine.retry_view(&view).await?),
        "skip" => {
            let position = take("position")?.unwrap_or_default();
            let position: Position =
                position.parse().map_err(|error: Error| Problem::invalid(error.to_string()))?;
            engine.skip_view(&view, position, &by, &take("why")?.unwrap_or_default()).await?;
        }
        other => return Err(Error::NotFound(format!("order {other:?} for a view")).into()),
    }
    fields.finish(&["from_start", "position", "why"])?;
    Ok(Redirect::to(&format!("{}?done={order}", path_of(&view))).into_response())
}

/// How far the last order is.
pub(super) fn standing(visitor: &Visitor, view: &ViewStanding) -> Markup {
    html! {
        @if let Some(standing) = &view.order {
            @let order = &standing.order;
            section aria-labelledby="order-heading" {
                h2 id="order-heading" { "Last order" }
                dl class="sheet facts" {
                    div { dt { "What" } dd { (task_word(order.task)) } }
                    div { dt { "State" } dd { (status(tone(order.state), state_word(order.state))) } }
                    div { dt { "Ordered" } dd { (moment(order.ordered_at, visitor.now())) } }
                    div { dt { "By" } dd { (order.ordered_by) } }
                    @if let Some(by) = &standing.carried_out_by { div { dt { "Carried out by" } dd { (by) } } }
                    @if let Some(generation) = order.generation { div { dt { "Builds generation" } dd { (generation) } } }
                    @if let Some(ended) = order.ended_at { div { dt { "Ended" } dd { (moment(ended, visitor.now())) } } }
                    @if let Some(progress) = order.progress.as_ref().filter(|_| !order.state.is_ended()) {
                        (progress_facts(progress, standing))
                    }
                }
                @if let Some(reason) = &order.reason { p class="wrong" { (sentence(reason)) } }
                @if let Some(verified) = &order.verified { (verified_facts(verified)) }
            }
        }
    }
}

fn progress_facts(progress: &OrderProgress, standing: &OrderStanding) -> Markup {
    let (at, to) = (progress.position.number(), progress.to.number());
    html! {
        div class="wide" {
            dt id="progress-label" { "Progress" }
            dd {
                progress aria-labelledby="progress-label" max=(to.max(1)) value=(at.min(to)) {}
                " position " (number(at)) " of " (number(to))
            }
        }
        div { dt { "Rate" } dd { @if let Some(rate) = standing.rate { (number(rate)) " positions/s" } @else { "not known yet" } } }
        div { dt { "Time left" } dd { (time_left(standing.seconds_left)) } }
    }
}

fn verified_facts(verified: &Verified) -> Markup {
    html! {
        p {
            (number(verified.rows)) @if verified.rows == 1 { " row was" } @else { " rows were" } " compared"
            @if !verified.is_whole { " so far" } ": "
            @if verified.differs() {
                (number(verified.changed)) " changed, " (number(verified.missing)) " missing, "
                (number(verified.extra)) " too many."
            } @else { "no difference." }
        }
        @for alteration in &verified.alterations { p class="wrong" { (sentence(alteration)) } }
        @if let Some(unreadable) = &verified.unreadable { p class="wrong" { (sentence(unreadable)) } }
        @if !verified.first.is_empty() {
            (table("The first differences", &["Tenant", "Key", "Column", "Is read", "Should be"], html! {
                @for difference in &verified.first {
                    tr {
                        td { (difference.tenant) }
                        td { (difference.key) }
                        td { (difference.column.as_deref().unwrap_or("the whole row")) }
                        td { code { (difference.served.as_deref().unwrap_or("no row")) } }
                        td { code { (difference.expected.as_deref().unwrap_or("no row")) } }
                    }
                }
            }))
        }
    }
}

fn task_word(task: ViewTask) -> &'static str {
    match task {
        ViewTask::Rebuild => "rebuild",
        ViewTask::Verify => "verify",
        ViewTask::Repair => "repair",
    }
}

fn state_word(state: OrderState) -> &'static str {
    match state {
        OrderState::Waiting => "waiting",
        OrderState::Folding => "folding",
        OrderState::Comparing => "comparing",
        OrderState::Swapping => "swapping",
        OrderState::Done => "done",
        OrderState::Failed => "failed",
        OrderState::Cancelled => "cancelled",
    }
}

fn tone(state: OrderState) -> Tone {
    match state {
        OrderState::Waiting | OrderState::Folding | OrderState::Comparing | OrderState::Swapping => {
            Tone::Busy
        }
        OrderState::Done => Tone::Good,
        OrderState::Failed => Tone::Bad,
        OrderState::Cancelled => Tone::Plain,
    }
}

/// What can be ordered. What gives something up is behind a line that opens and says what that is.
pub(super) fn orders(visitor: &Visitor, view: &ViewStanding) -> Markup {
    let path = |order: &str| format!("{}/orders/{order}", path_of(&view.view));
    // A button, and what it does.
    let order = |order: &str, class: &str, text: &str, does: &str| {
        html! { li { (button(visitor, &path(order), class, text)) span { (does) } } }
    };
    // What failed is mended by a rebuild, more often than by another try.
    let is_failed = view.status == FollowerStatus::Failed;
    let (retry_class, rebuild_class) = if is_failed { ("second", "") } else { ("", "second") };
    let is_busy = view.order.as_ref().is_some_and(|order| !order.order.state.is_ended());
    let can_discard = view.replaced.is_some() || view.rebuilt_to.is_some();
    html! {
        details open[view.status.is_stopped() || is_busy] {
            summary { "Rebuild, verify and repair" }
            p class="quiet" { "They are over the rows of all tenants. The rows that are read stay readable meanwhile." }
            ul class="orders" {
                @if view.status.is_stopped() {
                    (order("retry", retry_class, "Try again", "Folds the event again that the view is stopped at, and goes on from there."))
                }
                @if is_busy {
                    (order("cancel", "danger", "Cancel the order", "Ends what runs. What was built stays, and a rebuild goes on there."))
                } @else {
                    (order("rebuild", rebuild_class, "Rebuild", &rebuild_does(view)))
                    (order("verify", "second", "Verify", "Folds the log anew, compares row by row, and changes nothing."))
                    (order("repair", "second", "Verify and repair", "The same, and swaps in the new rows where they differ."))
                }
                @if let Some(replaced) = view.replaced {
                    (order("revert", "second", &format!("Bring generation {replaced} back"),
                        "Reads the rows from before the last rebuild again."))
                }
            }
            (skip_form(visitor, view, &path("skip")))
            @if can_discard && !is_busy {
                details {
                    summary { "Discard what is not read" }
                    p { "An unfinished rebuild begins anew after that, and no generation can be brought back." }
                    (button(visitor, &path("discard"), "danger", "Discard it"))
                }
            }
        }
    }
}

fn rebuild_does(view: &ViewStanding) -> String {
    match view.rebuilt_to {
        Some(to) => format!(
            "Goes on with the unfinished rebuild from position {to}, and swaps it in once it has caught up."
        ),
        None => "Folds the log anew beside the rows that are read, and swaps that in once it has caught up."
            .to_owned(),
    }
}

/// Passing over the event that stopped the view, where that mends it.
fn skip_form(visitor: &Visitor, view: &ViewStanding, path: &str) -> Markup {
    let stopped = view.stop.as_ref().and_then(|stop| match &stop.cause {
        StopCause::Event { event, is_of_event: true } => Some(event),
        _ => None,
    });
    html! {
        @if let Some(event) = stopped {
            details {
                summary { "Skip the event at position " (event.position) }
                p {
                    "It is event " (event.version) " of " (event.stream) ", of " (event.tenant) ". The rows will lack it until "
                    "a rebuild: " (sentence(&event.reason))
                }
                (form(visitor, path, html! {
                    input type="hidden" name="position" value=(event.position);
                    div class="field" {
                        label for="why" { "Why" }
                        input id="why" name="why" required autocomplete="off";
                    }
                    div class="buttons" { button type="submit" class="danger" { "Skip it" } }
                }))
            }
        }
    }
}
