//! `/console/views/{view}`: where one view stands, its rows, and one row.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use underlay_core::{Position, ViewSchema};
use underlay_runtime::ViewStanding;

use super::rows::{Asked, row_table, shown};
use super::view_order as order;
use super::views::path_of;
use crate::console::layout::{Page, Place};
use crate::console::show::{
    address, duration, empty, follower_status, live, moment, next_page, number, pace, part, sentence, table,
};
use crate::console::visitor::{Given, Visitor};
use crate::console::{Entry, reads, writes};
use crate::door::roles::Use;
use crate::health;
use crate::metrics::{Follows, Pace};
use crate::path::Segments;
use crate::problem::Problem;
use crate::view_orders::{PAGE_PARKED_DEFAULT, parked_of, standing_of};
use crate::view_query::ViewQuery;
use crate::views::{RowBody, RowsBody, ViewBody, all, one_row, rows};

pub(in crate::console) fn entries() -> Vec<Entry> {
    vec![
        reads("/console/views/{view}", Use::View, show),
        reads("/console/views/{view}/parked", Use::Views, parked),
        reads("/console/views/{view}/rows/{*key}", Use::View, row),
        writes("/console/views/{view}/orders/{order}", Use::Views, order::give),
    ]
}

/// `GET /console/views/{view}`.
async fn show(
    visitor: Visitor,
    Segments(view): Segments<String>,
    Given(given): Given,
) -> Result<Response, Problem> {
    let app = &visitor.app;
    let schema = app.schema(&view)?.clone();
    let asked = Asked::take(given, &schema)?;
    let body = all(app, &visitor.principal.actor).await?.into_iter().find(|body| body.name == view);
    let standing = match visitor.may(Use::Views) {
        true => Some(standing_of(app, &view).await?),
        false => None,
    };
    let pace = match standing {
        Some(_) => Some(health::pace(app).await),
        None => None,
    };
    let found = match ViewQuery::parse(asked.parameters(), &schema, app.config().wait_max) {
        Ok(query) => rows(app, visitor.tenant(), &view, &query).await.map_err(Problem::from),
        Err(problem) => Err(problem),
    };
    let tells = body.as_ref().is_some_and(|body| body.position.is_some());
    let status = found.as_ref().err().map_or(StatusCode::OK, Problem::status);
    let page = Page::new(&visitor, Some(Place::Views), view.as_str()).below(Place::Views.path(), "Views");
    let mut response = page.respond(html! {
        (live("standing", html! {
            (facts(&visitor, body.as_ref(), standing.as_ref(), pace.as_ref()))
            @if let Some(standing) = &standing { (order::standing(&visitor, standing)) }
        }))
        @if let Some(standing) = &standing { (live("orders", order::orders(&visitor, standing))) }
        section aria-labelledby="rows-heading" {
            h2 id="rows-heading" { "Rows of " (visitor.tenant()) }
            (asked.form(&path_of(&view), &schema))
            @match found {
                Ok(found) => (live("rows", row_part(&schema, &found, &asked, tells))),
                Err(problem) => p class="wrong" role="alert" { (sentence(problem.detail())) },
            }
        }
    });
    *response.status_mut() = status;
    Ok(response)
}

fn facts(
    visitor: &Visitor,
    body: Option<&ViewBody>,
    standing: Option<&ViewStanding>,
    known: Option<&Pace>,
) -> Markup {
    html! {
        @if let Some(body) = body {
            dl class="sheet facts" {
                div { dt { "Status" } dd { (follower_status(body.status)) } }
                div { dt { "Version" } dd { (body.version) } }
                @if let Some(position) = body.position { div { dt { "Position" } dd { (position) } } }
                @if let Some(standing) = standing {
                    div { dt { "Behind" } dd { (number(standing.behind)) } }
                    @if let Some(known) = known {
                        div {
                            dt { "Pace" }
                            dd { (pace(known, Follows::View, &standing.view, standing.behind, standing.status)) }
                        }
                    }
                    div { dt { "Generation" } dd { (standing.generation) } }
                    div {
                        dt { "Parked events" }
                        dd {
                            @if standing.parked == 0 { "0" } @else {
                                a href={ (path_of(&standing.view)) "/parked" } { (number(standing.parked)) }
                            }
                        }
                    }
                    @if let Some(by) = &standing.folded_by { div { dt { "Folded by" } dd { (by) } } }
                }
                @if let Some(since) = body.stopped_since {
                    div { dt { "Stopped since" } dd { (moment(since, visitor.now())) } }
                }
            }
        }
        @if let Some(problem) = standing.and_then(|standing| standing.problem.as_deref()) {
            p class="wrong" { (sentence(problem)) }
        }
    }
}

/// A page of rows; `tells` whether the visitor is told how far the view is, which counts what all tenants do.
fn row_part(schema: &ViewSchema, found: &RowsBody, asked: &Asked, tells: bool) -> Markup {
    let path = path_of(&schema.name);
    html! {
        p class="quiet" {
            @if let Some(count) = found.count { (number(count)) " rows. " }
            @if tells { "As of position " (found.position) "." }
        }
        @if found.rows.is_empty() {
            (empty("There is no such row.", html! {
                @if asked.is_of_all() { "A row is there once an event has made it." }
                @else { a href=(path) { "Show all rows" } }
            }))
        } @else {
            (row_table(schema, found.rows.iter().map(|row| {
                (format!("{path}/rows/{}", part(&row.key)), row.key.as_str(), row.values.as_slice())
            })))
            (next_page(found.next.as_deref().map(|cursor| asked.next(&path, cursor))))
        }
    }
}

/// `GET /console/views/{view}/rows/{key}`.
async fn row(
    visitor: Visitor,
    Segments((view, key)): Segments<(String, String)>,
    Given(given): Given,
) -> Result<Response, Problem> {
    given.finish(&[])?;
    visitor.app.schema(&view)?;
    let row: RowBody = one_row(&visitor.app, visitor.tenant(), &view, key).await?;
    let page = Page::new(&visitor, Some(Place::Views), row.key.as_str())
        .below(Place::Views.path(), "Views")
        .below(path_of(&view), view.as_str());
    Ok(page.respond(live(
        "row",
        html! {
            (table("Columns of the row", &["Column", "Value"], html! {
                @for (column, value) in row.schema.columns.iter().zip(&row.values) {
                    tr { th scope="row" { (column.name) } td { (shown(value)) } }
                }
            }))
        },
    )))
}

/// `GET /console/views/{view}/parked`: the events that the rows lack, of all tenants.
async fn parked(
    visitor: Visitor,
    Segments(view): Segments<String>,
    Given(mut given): Given,
) -> Result<Response, Problem> {
    let after = given.take_parsed("after")?.unwrap_or(Position::START);
    given.finish(&["after"])?;
    let schema = visitor.app.schema(&view)?.clone();
    let found = parked_of(&visitor.app, schema, after, PAGE_PARKED_DEFAULT).await?;
    let page = Page::new(&visitor, Some(Place::Views), format!("Parked events of {view}"))
        .below(Place::Views.path(), "Views")
        .below(path_of(&view), view.as_str());
    Ok(page.respond(html! {
        p class="lead" { "Events that the rows of this view lack: it could not take them, and went on." }
        @if found.events.is_empty() {
            (empty("There are none.", html! { "The rows reflect every event." }))
        } @else {
            (table("Parked events", &["#Position", "Tenant", "Stream", "#Version", "Why"], html! {
                @for event in &found.events {
                    tr {
                        td class="number" { (event.position) }
                        td { (event.tenant) }
                        td { (event.stream) }
                        td class="number" { (event.version) }
                        td { (event.reason) }
                    }
                }
            }))
            (next_page(found.next.map(|next| {
                address(&format!("{}/parked", path_of(&view)), &[("after", &next.to_string())])
            })))
            p { "Rebuild the view once its code can take them." }
        }
    }))
}

/// How long something takes, where that is known.
pub(super) fn time_left(seconds: Option<u64>) -> String {
    seconds.map_or_else(
        || "not known yet".to_owned(),
        |seconds| duration(std::time::Duration::from_secs(seconds)),
    )
}
