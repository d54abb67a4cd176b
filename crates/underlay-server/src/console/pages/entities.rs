//! `/console/entities`: the kinds of entities, and pages of one of them.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use underlay_core::EntitySchema;

use super::rows::{Asked, row_table, type_word};
use crate::console::layout::{Page, Place};
use crate::console::show::{empty, live, next_page, number, part, sentence, table};
use crate::console::visitor::{Given, Visitor};
use crate::console::{Entry, reads};
use crate::door::roles::Use;
use crate::entities::{EntitiesBody, EntityColumnBody, EntityKindBody, kinds, page, repository};
use crate::path::Segments;
use crate::problem::Problem;
use crate::view_query::PageQuery;

pub(in crate::console) fn entries() -> Vec<Entry> {
    vec![
        reads(Place::Entities.path(), Use::Anything, list),
        reads("/console/entities/{entity}", Use::Entity, show),
    ]
}

/// The address of a kind's page.
pub(super) fn path_of(entity: &str) -> String {
    format!("{}/{}", Place::Entities.path(), part(entity))
}

/// The address of one entity's page.
pub(super) fn path_of_one(entity: &str, id: &str) -> String {
    format!("{}/ids/{}", path_of(entity), part(id))
}

/// `GET /console/entities`.
async fn list(visitor: Visitor, Given(given): Given) -> Result<Response, Problem> {
    given.finish(&[])?;
    let kinds = kinds(&visitor.app, &visitor.principal.actor);
    let tells = kinds.iter().any(|kind| kind.store.is_some());
    let headings: &[&str] = match tells {
        true => &["Entity", "Columns", "For", "Kept in"],
        false => &["Entity", "Columns", "For"],
    };
    Ok(Page::new(&visitor, Some(Place::Entities), "Entities").respond(html! {
        p class="lead" { "Things that are kept as they are, such as settings: each has an id and a version." }
        @if kinds.is_empty() {
            (empty("There is no entity that you may use.", html! {
                "A service declares entities in its code, with the roles that may use them."
            }))
        } @else {
            (table("Kinds of entities", headings, html! {
                @for kind in &kinds {
                    tr {
                        th scope="row" { a href=(path_of(&kind.name)) { (kind.name) } }
                        td class="quiet" { (column_names(kind)) }
                        td { (users(kind)) }
                        @if let Some(store) = &kind.store { td { code { (store) } } }
                    }
                }
            }))
        }
    }))
}

fn column_names(kind: &EntityKindBody) -> String {
    kind.columns.iter().map(|column| column.column.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn users(kind: &EntityKindBody) -> String {
    if kind.roles.is_empty() { "everybody".to_owned() } else { kind.roles.join(", ") }
}

/// `GET /console/entities/{entity}`.
async fn show(
    visitor: Visitor,
    Segments(entity): Segments<String>,
    Given(given): Given,
) -> Result<Response, Problem> {
    let app = &visitor.app;
    let entities = repository(app, visitor.tenant(), &entity)?;
    let schema = entities.schema().clone();
    let asked = Asked::take(given, &schema)?;
    let kind = kinds(app, &visitor.principal.actor).into_iter().find(|kind| kind.name == entity);
    let found = match PageQuery::parse(asked.parameters(), &schema) {
        Ok(query) => page(app, &entities, &query).await.map_err(Problem::from),
        Err(problem) => Err(problem),
    };
    let status = found.as_ref().err().map_or(StatusCode::OK, Problem::status);
    let page = Page::new(&visitor, Some(Place::Entities), entity.as_str());
    let mut response = page.below(Place::Entities.path(), "Entities").respond(html! {
        @if let Some(kind) = &kind { (facts(kind)) }
        section aria-labelledby="rows-heading" {
            h2 id="rows-heading" { "Entities of " (visitor.tenant()) }
            p { a href={ (path_of(&entity)) "/new" } { "Create one…" } }
            (asked.form(&path_of(&entity), &schema))
            @match found {
                Ok(found) => (live("rows", rows(&schema, &found, &asked))),
                Err(problem) => p class="wrong" role="alert" { (sentence(problem.detail())) },
            }
        }
    });
    *response.status_mut() = status;
    Ok(response)
}

fn facts(kind: &EntityKindBody) -> Markup {
    html! {
        dl class="sheet facts" {
            div { dt { "Version" } dd { (kind.version) } }
            div { dt { "For" } dd { (users(kind)) } }
            @if let Some(store) = &kind.store { div { dt { "Kept in" } dd { code { (store) } } } }
        }
        details {
            summary { "Columns" }
            (table("Columns", &["Column", "Type", "What holds of it"], html! {
                @for column in &kind.columns {
                    tr {
                        th scope="row" { (column.column.name) }
                        td { (type_word(column.column.column_type)) }
                        td class="quiet" { (rules(column)) }
                    }
                }
            }))
        }
    }
}

fn rules(EntityColumnBody { column, unique }: &EntityColumnBody) -> String {
    let rules = [
        (*unique, "no two have the same value"),
        (column.indexed, "filters and sorts"),
        (column.nullable, "may be empty"),
    ];
    rules.into_iter().filter(|(holds, _)| *holds).map(|(_, rule)| rule).collect::<Vec<_>>().join(", ")
}

fn rows(schema: &EntitySchema, found: &EntitiesBody, asked: &Asked) -> Markup {
    let path = path_of(&schema.name);
    let entities = found.entities.iter().map(|of| &of.entity);
    html! {
        @if let Some(count) = found.count { p class="quiet" { (number(count)) " in all." } }
        @if found.entities.is_empty() {
            (empty("There is no such entity.", html! {
                @if asked.is_of_all() { "One is there once somebody has created it." }
                @else { a href=(path) { "Show all entities" } }
            }))
        } @else {
            (row_table(schema, entities.map(|of| {
                (path_of_one(&schema.name, &of.id), of.id.as_str(), of.values.as_slice())
            })))
            (next_page(found.next.as_deref().map(|cursor| asked.next(&path, cursor))))
        }
    }
}
