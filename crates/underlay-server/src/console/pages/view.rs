//! `/console/views/{view}`: where one view stands, its rows, and one row.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use underlay_core::{Position, Value, ViewSchema};
use underlay_runtime::ViewStanding;

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
use crate::parameters::Parameters;
use crate::path::Segments;
use crate::problem::Problem;
use crate::view_orders::{PAGE_PARKED_DEFAULT, parked_of, standing_of};
use crate::view_query::{COMPARISONS, ViewQuery};
use crate::views::{RowBody, RowsBody, ViewBody, all, one_row, rows};

/// Rows in a page where the reader does not say.
const PAGE_ROWS: &str = "50";
/// What the names of fields begin with that hold a value to compare with, and how.
const FIELD_VALUE: &str = "value.";
const FIELD_COMPARISON: &str = "is.";

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
            (filters(&view, &schema, &asked))
            @match found {
                Ok(found) => (live("rows", row_table(&schema, &found, &asked, tells))),
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

/// What a reader asks of the rows, as the form has it.
struct Asked {
    /// The column, the comparison and the value of each filter.
    filters: Vec<(String, String, String)>,
    sort: Option<String>,
    cursor: Option<String>,
    limit: Option<String>,
    counts: bool,
}

impl Asked {
    fn take(mut given: Parameters, schema: &ViewSchema) -> Result<Self, Problem> {
        let mut filters = Vec::new();
        for column in schema.columns.iter().filter(|column| column.indexed) {
            let comparison = given.take(&format!("{FIELD_COMPARISON}{}", column.name))?;
            if let Some(value) = given.take(&format!("{FIELD_VALUE}{}", column.name))? {
                let comparison = comparison.unwrap_or_else(|| COMPARISONS[0].0.to_owned());
                filters.push((column.name.clone(), comparison, value));
            }
        }
        let mut take = |name| given.take(name);
        let (sort, cursor, limit, counts) = (take("sort")?, take("cursor")?, take("limit")?, take("count")?);
        given.finish(&["value.COLUMN", "is.COLUMN", "sort", "cursor", "limit", "count"])?;
        Ok(Self { filters, sort, cursor, limit, counts: counts.is_some() })
    }

    /// The same, as the API has it.
    fn parameters(&self) -> Parameters {
        let filters = self.filters.iter();
        let mut pairs: Vec<(String, String)> = filters
            .map(|(column, comparison, value)| (format!("{column}[{comparison}]"), value.clone()))
            .collect();
        let mut put = |name: &str, value: Option<&str>| {
            pairs.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        };
        put("sort", self.sort.as_deref());
        put("cursor", self.cursor.as_deref());
        put("limit", Some(self.limit.as_deref().unwrap_or(PAGE_ROWS)));
        put("count", self.counts.then_some("true"));
        Parameters::of(pairs)
    }

    /// The address of the page after this one.
    fn next(&self, view: &str, cursor: &str) -> String {
        let names = self.filters.iter().flat_map(|(column, comparison, value)| {
            [
                (format!("{FIELD_COMPARISON}{column}"), comparison.as_str()),
                (format!("{FIELD_VALUE}{column}"), value.as_str()),
            ]
        });
        let names: Vec<(String, &str)> = names.collect();
        let mut pairs: Vec<(&str, &str)> =
            names.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        pairs.extend(self.sort.as_deref().map(|sort| ("sort", sort)));
        pairs.extend(self.limit.as_deref().map(|limit| ("limit", limit)));
        pairs.push(("cursor", cursor));
        address(&path_of(view), &pairs)
    }
}

/// How people read a comparison.
fn comparison_word(name: &str) -> &'static str {
    match name {
        "lt" => "is below",
        "le" => "is at most",
        "gt" => "is above",
        "ge" => "is at least",
        "prefix" => "begins with",
        _ => "is",
    }
}

fn filters(view: &str, schema: &ViewSchema, asked: &Asked) -> Markup {
    let indexed: Vec<&str> =
        schema.columns.iter().filter(|column| column.indexed).map(|column| column.name.as_str()).collect();
    let given = |column: &str| asked.filters.iter().find(|(named, ..)| named == column);
    let sorts = ["key"].into_iter().chain(indexed.iter().copied());
    html! {
        details open[!asked.filters.is_empty() || asked.sort.is_some()] {
            summary { "Filter and sort" }
            form class="sheet fields" method="get" action=(path_of(view)) {
                @for column in &indexed {
                    @let (comparison, value) =
                        given(column).map_or(("eq", ""), |(_, is, value)| (is.as_str(), value.as_str()));
                    div class="field" {
                        label for={ "value-" (column) } { (column) }
                        select name={ (FIELD_COMPARISON) (column) } aria-label={ "How " (column) " compares" } {
                            @for (name, _) in COMPARISONS {
                                option value=(name) selected[name == comparison] { (comparison_word(name)) }
                            }
                        }
                        input id={ "value-" (column) } name={ (FIELD_VALUE) (column) } value=(value) autocomplete="off";
                    }
                }
                div class="field" {
                    label for="sort" { "Sort by" }
                    select id="sort" name="sort" {
                        @for column in sorts {
                            @let falling = format!("-{column}");
                            option value=(column) selected[asked.sort.as_deref() == Some(column)] { (column) }
                            option value=(falling) selected[asked.sort.as_deref() == Some(&falling)] {
                                (column) ", falling"
                            }
                        }
                    }
                }
                div class="field check" {
                    input id="count" type="checkbox" name="count" value="true" checked[asked.counts];
                    label for="count" { "Count the rows of all pages" }
                }
                div class="buttons" {
                    button type="submit" { "Show" }
                    a href=(path_of(view)) { "Show all" }
                }
            }
        }
    }
}

/// A page of rows; `tells` whether the visitor is told how far the view is, which counts what all tenants do.
fn row_table(schema: &ViewSchema, found: &RowsBody, asked: &Asked, tells: bool) -> Markup {
    let view = schema.name.as_str();
    let numeric = |at: usize| schema.columns.get(at).is_some_and(|column| is_numeric(column.column_type));
    let mut headings = vec!["Key".to_owned()];
    headings.extend(schema.columns.iter().enumerate().map(|(at, column)| match numeric(at) {
        true => format!("#{}", column.name),
        false => column.name.clone(),
    }));
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    html! {
        p class="quiet" {
            @if let Some(count) = found.count { (number(count)) " rows. " }
            @if tells { "As of position " (found.position) "." }
        }
        @if found.rows.is_empty() {
            (empty("There is no such row.", html! {
                @if asked.filters.is_empty() { "A row is there once an event has made it." }
                @else { a href=(path_of(view)) { "Show all rows" } }
            }))
        } @else {
            (table("Rows", &headings, html! {
                @for row in &found.rows {
                    tr {
                        th scope="row" { a href={ (path_of(view)) "/rows/" (part(&row.key)) } { (row.key) } }
                        @for (at, value) in row.values.iter().enumerate() {
                            td class=[numeric(at).then_some("number")] { (shown(value)) }
                        }
                    }
                }
            }))
            (next_page(found.next.as_deref().map(|cursor| asked.next(view, cursor))))
        }
    }
}

fn is_numeric(column: underlay_core::ColumnType) -> bool {
    use underlay_core::ColumnType::{Decimal, Integer};
    matches!(column, Decimal | Integer)
}

/// A value as its JSON has it, without the quotes of a text.
fn shown(value: &Value) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(serde_json::Value::Null) | Err(_) => "–".to_owned(),
        Ok(value) => value.to_string(),
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
