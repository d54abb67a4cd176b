//! `/console/streams`: the streams by name.

use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use underlay_core::StreamName;

use super::events::categories;
use crate::budget::Room;
use crate::console::layout::{Page, Place};
use crate::console::show::{address, empty, next_page, number, part, table};
use crate::console::visitor::{Given, Visitor};
use crate::console::{Entry, reads};
use crate::door::roles::Use;
use crate::problem::Problem;
use crate::streams::{StreamsAsked, StreamsBody, list_of};

pub(in crate::console) fn entries() -> Vec<Entry> {
    vec![
        reads(Place::Streams.path(), Use::Log, list),
        reads("/console/streams/{stream}", Use::Log, super::stream::show),
    ]
}

/// `GET /console/streams`.
async fn list(visitor: Visitor, room: Room, Given(mut given): Given) -> Result<Response, Problem> {
    let path = Place::Streams.path();
    if let Some(name) = given.take("name")? {
        let stream = StreamName::parse(name.trim())?;
        return Ok(Redirect::to(&format!("{path}/{}", part(stream.as_str()))).into_response());
    }
    let asked = StreamsAsked::take(&mut given)?;
    given.finish(&["name", "category", "after", "limit"])?;
    let category = asked.category.as_ref().map(ToString::to_string);
    let found = list_of(&visitor.app, &room, visitor.tenant(), asked).await?;
    let next = found.next.as_ref().map(|next| {
        let mut pairs: Vec<(&str, &str)> = category.iter().map(|name| ("category", name.as_str())).collect();
        pairs.push(("after", next.as_str()));
        address(path, &pairs)
    });
    Ok(Page::new(&visitor, Some(Place::Streams), "Streams").respond(html! {
        (forms(&visitor, category.as_deref()))
        @if found.streams.is_empty() {
            (empty("There is no stream here.", html! {
                @if category.is_some() { a href=(path) { "Show those of all categories" } }
                @else { "A stream begins with its first event. " a href=(Place::Start.path()) { "First steps" } }
            }))
        } @else {
            (rows(&found))
        }
        (next_page(next))
    }))
}

fn forms(visitor: &Visitor, category: Option<&str>) -> Markup {
    let path = Place::Streams.path();
    html! {
        div class="beside" {
            form method="get" action=(path) class="sheet inline" {
                label for="name" { "Name" }
                input type="text" id="name" name="name" placeholder="account-42" autocomplete="off" spellcheck="false";
                button type="submit" class="second" { "Open" }
            }
            form method="get" action=(path) class="sheet inline" {
                label for="category" { "Category" }
                select id="category" name="category" { (categories(visitor, category)) }
                button type="submit" class="second" { "Filter" }
            }
        }
    }
}

fn rows(found: &StreamsBody) -> Markup {
    table(
        "Streams",
        &["Stream", "#Events", "Category"],
        html! {
            @for listed in &found.streams {
                @let stream = &listed.stream;
                tr {
                    th scope="row" {
                        a href={ (Place::Streams.path()) "/" (part(stream.as_str())) } { (stream) }
                    }
                    td class="number" { (number(listed.version.0)) }
                    td { a href=(address(Place::Streams.path(), &[("category", stream.category())])) { (stream.category()) } }
                }
            }
        },
    )
}
