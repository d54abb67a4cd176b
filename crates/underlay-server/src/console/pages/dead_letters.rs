//! `/console/dead-letters`: work that was given up, to be tried again or removed, one by one or several at once.

use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use underlay_core::{WorkFilter, WorkId, WorkPlace};
use underlay_runtime::{LetterChoice, LetterOrder};

use super::work_parts::{audit_link, filter_form, filter_pairs, letter_path};
use crate::admin::letters::{
    DeadLetterBody, DeadLettersBody, letter_id, letter_of, letters_of, settle, settle_many,
};
use crate::admin::list::{WorkQuery, kind_of};
use crate::budget::Room;
use crate::console::form::{Posted, button, form};
use crate::console::layout::{Page, Place};
use crate::console::show::{Tone, address, empty, json, moment, next_page, number, status, table};
use crate::console::visitor::{Given, Visitor};
use crate::console::{Entry, reads, writes};
use crate::door::roles::Use;
use crate::path::Segments;
use crate::problem::Problem;

const SELECTED: &str = "/console/dead-letters/selected";
const LETTER: &str = "/console/dead-letters/{id}";
const REPLAY: &str = "/console/dead-letters/{id}/replay";
const DISCARD: &str = "/console/dead-letters/{id}/discard";
/// The field that says what becomes of several letters, and its values.
const ORDER: &str = "order";
const ORDERS: [(&str, LetterOrder, bool); 4] = [
    ("replay", LetterOrder::Replay, false),
    ("discard", LetterOrder::Discard, false),
    ("replay-all", LetterOrder::Replay, true),
    ("discard-all", LetterOrder::Discard, true),
];
/// The field of whoever was asked again.
const CONFIRMED: &str = "confirmed";

pub(in crate::console) fn entries() -> Vec<Entry> {
    vec![
        reads(Place::DeadLetters.path(), Use::Work, list),
        writes(SELECTED, Use::Work, settle_selected),
        reads(LETTER, Use::Work, show),
        writes(REPLAY, Use::Work, replay),
        reads(DISCARD, Use::Work, confirm),
        writes(DISCARD, Use::Work, discard),
    ]
}

/// `GET /console/dead-letters`.
async fn list(visitor: Visitor, room: Room, Given(given): Given) -> Result<Response, Problem> {
    let query = WorkQuery::read(visitor.tenant().clone(), true, given)?;
    let (filter, after) = (query.filter.clone(), query.after);
    let found = letters_of(&visitor.app, &room, query).await?;
    let path = Place::DeadLetters.path();
    Ok(Page::new(&visitor, Some(Place::DeadLetters), "Dead letters").respond(html! {
        p class="lead" {
            "Work that was given up, the oldest first. It waits for a person. Mend the cause first, then replay: a letter "
            "is due again at once, with all its attempts."
        }
        (filter_form(path, &filter))
        @if found.dead_letters.is_empty() {
            (empty("There are no dead letters.", html! { "Nothing was given up, or the filter finds none of it." }))
        } @else {
            (selection(&visitor, &filter, after, &found))
        }
    }))
}

/// The letters, with what is done to those that are checked.
fn selection(visitor: &Visitor, filter: &WorkFilter, after: WorkPlace, found: &DeadLettersBody) -> Markup {
    let headings = ["Pick", "Name", "Last error", "Receiver", "Key", "Given up", "#Attempts"];
    let mut pairs = filter_pairs(filter);
    let next = found.next.as_deref().map(|next| {
        pairs.push(("after", next));
        address(Place::DeadLetters.path(), &pairs)
    });
    form(
        visitor,
        SELECTED,
        html! {
            (filter_fields(filter, after))
            (table("Dead letters", &headings, html! {
                @for letter in &found.dead_letters { (row(visitor, letter)) }
            }))
            div class="buttons" {
                button type="submit" name=(ORDER) value="replay" { "Replay those picked" }
                button type="submit" name=(ORDER) value="discard" class="danger" { "Discard those picked…" }
                button type="submit" name=(ORDER) value="replay-all" class="second" { "Replay all from here on" }
                button type="submit" name=(ORDER) value="discard-all" class="danger" { "Discard all from here on…" }
            }
            (next_page(next))
        },
    )
}

/// What the list was narrowed down by, for whatever is done next.
fn filter_fields(filter: &WorkFilter, after: WorkPlace) -> Markup {
    html! {
        @for (name, value) in filter_pairs(filter) { input type="hidden" name=(name) value=(value); }
        @if after > WorkPlace::START { input type="hidden" name="after" value=(after.number()); }
    }
}

fn row(visitor: &Visitor, letter: &DeadLetterBody) -> Markup {
    let name = format!("{} {}", letter.name, letter.key);
    html! {
        tr {
            td { input type="checkbox" name="id" value=(letter.work_id) aria-label={ "Pick " (name) }; }
            th scope="row" {
                a href=(letter_path(letter.work_id)) { (letter.name) } " " small class="quiet" { (letter.kind.name()) }
            }
            td class="words" { (letter.last_error.as_deref().unwrap_or("–")) }
            td { (letter.receiver) }
            td { code { (letter.key) } @if letter.holds_key { " " (status(Tone::Bad, "held")) } }
            td { @if let Some(died_at) = letter.died_at { (moment(died_at, visitor.now())) } }
            td class="number" { (letter.attempts) }
        }
    }
}

/// `POST /console/dead-letters/selected`: what is to become of several.
async fn settle_selected(visitor: Visitor, Posted(mut fields): Posted) -> Result<Response, Problem> {
    let word = fields.take(ORDER)?.unwrap_or_default();
    let Some((_, order, takes_all)) = ORDERS.into_iter().find(|(known, ..)| *known == word) else {
        let known = ORDERS.map(|(known, ..)| known).join(", ");
        return Err(Problem::invalid(format!("{ORDER}={word} is none of: {known}")));
    };
    let is_confirmed = fields.take(CONFIRMED)?.is_some();
    let ids = fields.take_all("id");
    let ids: Vec<WorkId> = ids.iter().map(|id| letter_id(id)).collect::<Result<_, _>>()?;
    let kind = fields.take("kind")?.map(|kind| kind_of(&kind)).transpose()?;
    let filter = WorkFilter {
        tenant: Some(visitor.tenant().clone()),
        dead: true,
        holds: false,
        kind,
        receiver: fields.take("receiver")?,
        key: fields.take("key")?,
    };
    let after = WorkPlace::from_number(fields.take_parsed("after")?.unwrap_or_default());
    fields.finish(&[ORDER, CONFIRMED, "id", "kind", "receiver", "key", "after"])?;
    if ids.is_empty() && !takes_all {
        return Ok(back(&filter, None, "none-picked"));
    }
    if order == LetterOrder::Discard && !is_confirmed {
        let picked = (!takes_all).then_some(ids.as_slice());
        return Ok(confirm_several(&visitor, &word, &filter, after, picked));
    }
    let choice = match takes_all {
        true => LetterChoice { filter: filter.clone(), ids: None, after },
        // Those that are picked are there wherever they stand.
        false => LetterChoice {
            filter: filter.clone(),
            ids: Some(ids.into_iter().collect()),
            after: WorkPlace::START,
        },
    };
    let settled = settle_many(&visitor.app, &visitor.principal, order, &choice).await?;
    let done = match (order, settled.next.is_some(), settled.kept > 0) {
        (LetterOrder::Replay, true, _) => "letters-replayed-more",
        (LetterOrder::Replay, false, true) => "letters-replayed-but",
        (LetterOrder::Replay, false, false) => "letters-replayed",
        (LetterOrder::Discard, true, _) => "letters-discarded-more",
        (LetterOrder::Discard, false, _) => "letters-discarded",
    };
    Ok(back(&filter, settled.next.as_deref(), done))
}

/// The list again, with what was done.
fn back(filter: &WorkFilter, after: Option<&str>, done: &str) -> Response {
    let mut pairs = filter_pairs(filter);
    pairs.extend(after.map(|after| ("after", after)));
    pairs.push(("done", done));
    Redirect::to(&address(Place::DeadLetters.path(), &pairs)).into_response()
}

/// Asks again before several are removed.
fn confirm_several(
    visitor: &Visitor,
    word: &str,
    filter: &WorkFilter,
    after: WorkPlace,
    picked: Option<&[WorkId]>,
) -> Response {
    let what = match picked {
        Some([_]) => "1 dead letter".to_owned(),
        Some(picked) => format!("{} dead letters", number(picked.len() as u64)),
        None => "all dead letters from here on".to_owned(),
    };
    let pairs = filter_pairs(filter);
    let path = Place::DeadLetters.path();
    let page =
        Page::new(visitor, Some(Place::DeadLetters), format!("Discard {what}?")).below(path, "Dead letters");
    page.respond(html! {
        p { "They are removed for ever, and what stands behind them goes on. Nothing brings them back." }
        @if !pairs.is_empty() {
            p { "Only those with " @for (name, value) in &pairs { (name) " " code { (value) } " " } "are meant." }
        }
        (form(visitor, SELECTED, html! {
            (filter_fields(filter, after))
            input type="hidden" name=(ORDER) value=(word);
            input type="hidden" name=(CONFIRMED) value="yes";
            @for id in picked.into_iter().flatten() { input type="hidden" name="id" value=(id); }
            div class="buttons" {
                button type="submit" class="danger" { "Discard " (what) }
                a href=(address(path, &pairs)) { "Leave them" }
            }
        }))
    })
}

/// `GET /console/dead-letters/{id}`.
async fn show(
    visitor: Visitor,
    room: Room,
    Segments(id): Segments<String>,
    Given(given): Given,
) -> Result<Response, Problem> {
    given.finish(&[])?;
    let letter = letter_of(&visitor.app, &room, &visitor.principal, letter_id(&id)?).await?;
    let path = letter_path(letter.work_id);
    let page = Page::new(&visitor, Some(Place::DeadLetters), format!("Dead letter {}", letter.name));
    Ok(page.below(Place::DeadLetters.path(), "Dead letters").respond(html! {
        section aria-labelledby="why" {
            h2 id="why" { "Why it was given up" }
            pre tabindex="0" { code { (letter.last_error.as_deref().unwrap_or("Nobody said.")) } }
        }
        div class="buttons" {
            (button(&visitor, &format!("{path}/replay"), "", "Replay"))
            a href={ (path) "/discard" } { "Discard…" }
            (audit_link(&visitor, &letter.metadata))
        }
        (facts(&visitor, &letter))
        section aria-labelledby="payload" {
            h2 id="payload" { "What was sent" }
            (json(letter.payload.text().as_str()))
        }
        section aria-labelledby="metadata" {
            h2 id="metadata" { "Where it comes from" }
            (json(letter.metadata.as_str()))
        }
    }))
}

fn facts(visitor: &Visitor, letter: &DeadLetterBody) -> Markup {
    let now = visitor.now();
    html! {
        section aria-labelledby="facts" {
            h2 id="facts" { "What it is" }
            dl class="sheet facts" {
                div { dt { "receiver" } dd { (letter.receiver) " (" (letter.kind.name()) ")" } }
                div { dt { "key" } dd { code { (letter.key) } } }
                div {
                    dt { "what stands behind it" }
                    dd { @if letter.holds_key { (status(Tone::Bad, "waits")) } @else { "goes on" } }
                }
                div { dt { "version" } dd { (letter.version) } }
                div { dt { "sent" } dd { (moment(letter.sent_at, now)) } }
                @if let Some(died_at) = letter.died_at { div { dt { "given up" } dd { (moment(died_at, now)) } } }
                div { dt { "attempts" } dd {
                    (letter.attempts) @if letter.is_final { ", and no other would help" } @else { ", used up" }
                } }
                div class="wide" { dt { "id" } dd { code { (letter.work_id) } } }
                div class="wide" { dt { "commit" } dd { code { (letter.commit_id) } } }
            }
        }
    }
}

/// `POST /console/dead-letters/{id}/replay`.
async fn replay(visitor: Visitor, Segments(id): Segments<String>, _: Posted) -> Result<Response, Problem> {
    settle(&visitor.app, &visitor.principal, LetterOrder::Replay, letter_id(&id)?).await?;
    Ok(back(&WorkFilter::default(), None, "letter-replayed"))
}

/// `GET /console/dead-letters/{id}/discard`: asks again.
async fn confirm(
    visitor: Visitor,
    room: Room,
    Segments(id): Segments<String>,
    Given(given): Given,
) -> Result<Response, Problem> {
    given.finish(&[])?;
    let letter = letter_of(&visitor.app, &room, &visitor.principal, letter_id(&id)?).await?;
    let path = letter_path(letter.work_id);
    let page = Page::new(&visitor, Some(Place::DeadLetters), format!("Discard {}?", letter.name));
    let page = page.below(Place::DeadLetters.path(), "Dead letters").below(path.clone(), letter.name.clone());
    Ok(page.respond(html! {
        p { "It is removed for ever, and what stands behind it goes on. Nothing brings it back." }
        p { "It is for " strong { (letter.receiver) } ", with the key " code { (letter.key) } "." }
        div class="buttons" {
            (button(&visitor, &format!("{path}/discard"), "danger", "Discard it"))
            a href=(path) { "Leave it" }
        }
    }))
}

/// `POST /console/dead-letters/{id}/discard`.
async fn discard(visitor: Visitor, Segments(id): Segments<String>, _: Posted) -> Result<Response, Problem> {
    settle(&visitor.app, &visitor.principal, LetterOrder::Discard, letter_id(&id)?).await?;
    Ok(back(&WorkFilter::default(), None, "letter-discarded"))
}
