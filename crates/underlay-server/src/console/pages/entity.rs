//! One entity: its form, how it is created, saved and removed. A change names the version that the form was made of, so what
//! somebody else has saved meanwhile is never overwritten.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use underlay_core::{EntitySchema, EntityVersion, Error, StoredEntity};
use underlay_runtime::StoredRepository;

use super::entities::{path_of, path_of_one};
use super::entity_form::{FIELD_ID, FIELD_VERSION, Typed};
use crate::console::form::{Posted, form};
use crate::console::layout::{Page, Place};
use crate::console::show::{address, part, sentence, table};
use crate::console::visitor::{Given, Visitor};
use crate::console::{Entry, reads, writes};
use crate::door::roles::Use;
use crate::entities::repository;
use crate::path::Segments;
use crate::problem::Problem;

const NEW: &str = "/console/entities/{entity}/new";
const ONE: &str = "/console/entities/{entity}/ids/{*key}";
const REMOVE: &str = "/console/entities/{entity}/remove/{*key}";

pub(in crate::console) fn entries() -> Vec<Entry> {
    vec![
        reads(NEW, Use::Entity, begin),
        writes(NEW, Use::Entity, create),
        reads(ONE, Use::Entity, show),
        writes(ONE, Use::Entity, save),
        reads(REMOVE, Use::Entity, confirm),
        writes(REMOVE, Use::Entity, remove),
    ]
}

fn page<'a>(visitor: &'a Visitor, schema: &EntitySchema, title: impl Into<String>) -> Page<'a> {
    let page = Page::new(visitor, Some(Place::Entities), title);
    page.below(Place::Entities.path(), "Entities").below(path_of(&schema.name), schema.name.as_str())
}

fn done(path: &str, word: &str) -> Response {
    Redirect::to(&address(path, &[("done", word)])).into_response()
}

fn told(problem: &Problem, more: Markup) -> Markup {
    html! { div class="wrong" role="alert" { p { (sentence(problem.detail())) } (more) } }
}

/// Something that was typed does not fit its column.
fn misfit() -> Problem {
    Problem::invalid("something that was typed does not fit its field; nothing was saved")
}

/// `GET /console/entities/{entity}/new`.
async fn begin(
    visitor: Visitor,
    Segments(entity): Segments<String>,
    Given(given): Given,
) -> Result<Response, Problem> {
    given.finish(&[])?;
    let entities = repository(&visitor.app, visitor.tenant(), &entity)?;
    Ok(new_page(&visitor, entities.schema(), &Typed::new(entities.schema()), None))
}

fn new_page(visitor: &Visitor, schema: &EntitySchema, typed: &Typed, wrong: Option<&Problem>) -> Response {
    let page = page(visitor, schema, format!("Create {}", schema.name));
    let mut response = page.respond(html! {
        @if let Some(problem) = wrong { (told(problem, html! {})) }
        div class="sheet" {
            (form(visitor, &format!("{}/new", path_of(&schema.name)), html! {
                div class="fields" {
                    div class="field" {
                        label for=(FIELD_ID) { "Id" }
                        input id=(FIELD_ID) name=(FIELD_ID) value=(typed.id) required autocomplete="off" spellcheck="false";
                    }
                    (typed.fields(schema))
                }
                div class="buttons" { button type="submit" { "Create" } }
            }))
        }
    });
    *response.status_mut() = wrong.map_or(StatusCode::OK, Problem::status);
    response
}

/// `POST /console/entities/{entity}/new`.
async fn create(
    visitor: Visitor,
    Segments(entity): Segments<String>,
    Posted(fields): Posted,
) -> Result<Response, Problem> {
    let entities = repository(&visitor.app, visitor.tenant(), &entity)?;
    let schema = entities.schema();
    let mut typed = Typed::take(schema, fields)?;
    let created = match typed.read(schema, None) {
        Some(values) => entities.create(&typed.id, values).await.map_err(Problem::from),
        None => Err(misfit()),
    };
    Ok(match created {
        Ok(created) => done(&path_of_one(&entity, &created.id), "entity-created"),
        Err(problem) => new_page(&visitor, schema, &typed, Some(&problem)),
    })
}

/// `GET /console/entities/{entity}/ids/{key}`.
async fn show(
    visitor: Visitor,
    Segments((entity, id)): Segments<(String, String)>,
    Given(given): Given,
) -> Result<Response, Problem> {
    given.finish(&[])?;
    let entities = repository(&visitor.app, visitor.tenant(), &entity)?;
    let found = entities.get(&id).await?;
    let typed = Typed::of(entities.schema(), &found);
    Ok(one_page(&visitor, entities.schema(), &id, &typed, None))
}

/// The page with the form, and with why nothing was saved where nothing was.
fn one_page(
    visitor: &Visitor,
    schema: &EntitySchema,
    id: &str,
    typed: &Typed,
    wrong: Option<(&Problem, Markup)>,
) -> Response {
    let status = wrong.as_ref().map_or(StatusCode::OK, |(problem, _)| problem.status());
    let path = path_of_one(&schema.name, id);
    let mut response = page(visitor, schema, id).respond(html! {
        @if let Some((problem, more)) = wrong { (told(problem, more)) }
        dl class="sheet facts" {
            div { dt { "Entity" } dd { (schema.name) } }
            @if let Some(version) = typed.version { div { dt { "Version" } dd { (version) } } }
        }
        div class="sheet" {
            (form(visitor, &path, html! {
                div class="fields" { (typed.fields(schema)) }
                div class="buttons" {
                    button type="submit" { "Save" }
                    a href=(path) { "Load it again" }
                }
            }))
        }
        p { a href=(path_to_remove(schema, id)) { "Remove this entity…" } }
    });
    *response.status_mut() = status;
    response
}

fn path_to_remove(schema: &EntitySchema, id: &str) -> String {
    format!("{}/remove/{}", path_of(&schema.name), part(id))
}

/// `POST /console/entities/{entity}/ids/{key}`: saves it. What was typed stays where it is not saved.
async fn save(
    visitor: Visitor,
    Segments((entity, id)): Segments<(String, String)>,
    Posted(fields): Posted,
) -> Result<Response, Problem> {
    let entities = repository(&visitor.app, visitor.tenant(), &entity)?;
    let schema = entities.schema();
    let mut typed = Typed::take(schema, fields)?;
    let seen = seen(typed.version)?;
    let stored = entities.find(&id).await?;
    let before = stored.as_ref().filter(|stored| stored.version == seen);
    let Some(values) = typed.read(schema, before) else {
        return Ok(one_page(&visitor, schema, &id, &typed, Some((&misfit(), html! {}))));
    };
    let wrong = match entities.update(&id, seen, values).await {
        Ok(_) => return Ok(done(&path_of_one(&entity, &id), "entity-saved")),
        Err(Error::EntityConflict(_)) => {
            let (problem, more) = overtaken(&entities, &id, &typed).await?;
            return Ok(one_page(&visitor, schema, &id, &typed, Some((&problem, more))));
        }
        Err(error) => Problem::from(error),
    };
    Ok(one_page(&visitor, schema, &id, &typed, Some((&wrong, html! {}))))
}

fn seen(version: Option<EntityVersion>) -> Result<EntityVersion, Problem> {
    version.ok_or_else(|| Problem::invalid("the form does not say which version it was made of"))
}

/// Somebody else has changed the entity since the form was made: what is stored now, beside what was typed.
async fn overtaken(
    entities: &StoredRepository,
    id: &str,
    typed: &Typed,
) -> Result<(Problem, Markup), Problem> {
    let now = entities.find(id).await?;
    let differences = now.as_ref().map(|now| typed.differences(entities.schema(), now)).unwrap_or_default();
    let more = html! {
        @if !differences.is_empty() {
            (table("What differs", &["Column", "Stored now", "Yours"], html! {
                @for (column, stored, typed) in &differences {
                    tr { th scope="row" { (column) } td { (stored) } td { (typed) } }
                }
            }))
        }
        @if now.is_some() {
            p { a href=(path_of_one(&entities.schema().name, id)) { "Load what is stored now" } }
        }
    };
    Ok((not_saved(now.as_ref(), seen(typed.version)?), more))
}

/// Why nothing was changed, with the status that the API has for it.
fn not_saved(now: Option<&StoredEntity>, seen: EntityVersion) -> Problem {
    let detail = match now {
        Some(now) => format!(
            "somebody else has changed it since: you saw version {seen}, and it is at version {} now. Nothing was changed",
            now.version
        ),
        None => "somebody else has removed it since. Nothing was changed".to_owned(),
    };
    Problem::new(StatusCode::PRECONDITION_FAILED, "precondition-failed", "Precondition failed", detail)
}

/// `GET /console/entities/{entity}/remove/{key}`: asks again.
async fn confirm(
    visitor: Visitor,
    Segments((entity, id)): Segments<(String, String)>,
    Given(given): Given,
) -> Result<Response, Problem> {
    given.finish(&[])?;
    let entities = repository(&visitor.app, visitor.tenant(), &entity)?;
    let (schema, found) = (entities.schema(), entities.get(&id).await?);
    let path = path_of_one(&entity, &id);
    Ok(page(&visitor, schema, format!("Remove {id}?")).below(path.clone(), id.as_str()).respond(html! {
        p { "It is at version " (found.version) ". What is removed does not come back." }
        div class="buttons" {
            (form(&visitor, &path_to_remove(schema, &id), html! {
                input type="hidden" name=(FIELD_VERSION) value=(found.version);
                button type="submit" class="danger" { "Remove it" }
            }))
            a href=(path) { "Leave it" }
        }
    }))
}

/// `POST /console/entities/{entity}/remove/{key}`.
async fn remove(
    visitor: Visitor,
    Segments((entity, id)): Segments<(String, String)>,
    Posted(mut fields): Posted,
) -> Result<Response, Problem> {
    let version: Option<u64> = fields.take_parsed(FIELD_VERSION)?;
    fields.finish(&[FIELD_VERSION])?;
    let seen = seen(version.map(EntityVersion))?;
    let entities = repository(&visitor.app, visitor.tenant(), &entity)?;
    match entities.delete(&id, Some(seen)).await {
        Ok(()) => Ok(done(&path_of(&entity), "entity-removed")),
        Err(Error::EntityConflict(_)) => Err(not_saved(entities.find(&id).await?.as_ref(), seen)),
        Err(error) => Err(error.into()),
    }
}
