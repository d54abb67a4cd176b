//! `/console/outbox`: the work of the tenant that waits.

use axum::response::Response;
use maud::{Markup, html};

use super::work_parts::{audit_link, filter_form, filter_pairs, letter_link};
use crate::admin::list::WorkQuery;
use crate::admin::outbox::{WaitingWorkBody, outbox_of};
use crate::budget::Room;
use crate::console::layout::{Page, Place};
use crate::console::show::{Tone, address, empty, live, moment, next_page, status, table};
use crate::console::visitor::{Given, Visitor};
use crate::console::{Entry, reads};
use crate::door::roles::Use;
use crate::problem::Problem;

pub(in crate::console) fn entries() -> Vec<Entry> {
    vec![reads(Place::Outbox.path(), Use::Work, list)]
}

/// `GET /console/outbox`.
async fn list(visitor: Visitor, room: Room, Given(given): Given) -> Result<Response, Problem> {
    let query = WorkQuery::read(visitor.tenant().clone(), false, given)?;
    let filter = query.filter.clone();
    let outbox = outbox_of(&visitor.app, &room, query).await?;
    let mut pairs = filter_pairs(&filter);
    let next = outbox.next.as_deref().map(|next| {
        pairs.push(("after", next));
        address(Place::Outbox.path(), &pairs)
    });
    let headings = ["Name", "Stands", "#Failed", "Last error", "Receiver", "Key", "Sent", "From"];
    Ok(Page::new(&visitor, Some(Place::Outbox), "Outbox").respond(html! {
        p class="lead" {
            "What commits have sent on and is not done yet, the oldest first: messages, stored commands, and the inputs "
            "and timers of processes. What was given up is among the "
            a href=(Place::DeadLetters.path()) { "dead letters" } "."
        }
        (filter_form(Place::Outbox.path(), &filter))
        (live("outbox", html! {
            @if outbox.work.is_empty() {
                (empty("Nothing waits.", html! { "All that was sent on is done, or the filter finds none of it." }))
            } @else {
                (table("Work that waits", &headings, html! {
                    @for work in &outbox.work { (row(&visitor, work)) }
                }))
            }
            (next_page(next))
        }))
    }))
}

fn row(visitor: &Visitor, work: &WaitingWorkBody) -> Markup {
    let now = visitor.now();
    html! {
        tr {
            th scope="row" { (work.name) " " small class="quiet" { (work.kind.name()) } }
            td { (stands(work)) @if let Some(due_at) = work.due_at { " " (moment(due_at, now)) } }
            td class="number" { (work.attempts) }
            td class="words" { (work.last_error.as_deref().unwrap_or("–")) }
            td { (work.receiver) }
            td { code { (work.key) } }
            td { (moment(work.sent_at, now)) }
            td { (audit_link(visitor, &work.metadata)) }
        }
    }
}

fn stands(work: &WaitingWorkBody) -> Markup {
    html! {
        @if let Some(letter) = work.held_by {
            (status(Tone::Bad, "held")) " by " (letter_link(letter))
        } @else if work.has_ended {
            (status(Tone::Plain, "has ended"))
        } @else if work.attempts > 0 {
            (status(Tone::Busy, "tried again"))
        } @else {
            (status(if work.state == "ready" { Tone::Busy } else { Tone::Plain }, work.state))
        }
    }
}
