//! The work of one request, on its page of the audit. Work is not kept by its request, so a page looks through a bounded
//! part of what waits and of the dead letters, says how far, and leads to the next part.

use maud::{Markup, html};
use underlay_core::{CommitId, Metadata, Timestamp, WorkFilter, WorkInfo, WorkKind, WorkPlace, WorkStanding};
use underlay_runtime::EventQuery;
use uuid::Uuid;

use super::audit::command_link;
use super::events::{address_of, pairs};
use crate::console::layout::Place;
use crate::console::show::{Tone, moment, number, status, table};
use crate::console::visitor::Visitor;
use crate::door::roles::Use;
use crate::parameters::Parameters;
use crate::problem::Problem;

/// Pieces of each half that one page looks at.
const WORK_LOOKED_AT: usize = 200;
/// What the parameter of a half says that was looked through to its end.
const END: &str = "end";

/// What waits, or what was given up.
struct Half {
    parameter: &'static str,
    dead: bool,
    /// The place it is looked at after; none where it was looked through before.
    after: Option<WorkPlace>,
}

/// Where the last page has stopped looking.
pub(super) struct WorkAsked([Half; 2]);

impl WorkAsked {
    /// The parameters that [`take`](Self::take) takes.
    pub(super) const NAMES: [&str; 2] = ["waiting_after", "dead_after"];

    pub(super) fn take(given: &mut Parameters) -> Result<Self, Problem> {
        let mut half = |parameter, dead| {
            let after = match given.take(parameter)?.as_deref() {
                None => Some(WorkPlace::START),
                Some(END) => None,
                Some(place) => Some(WorkPlace::from_number(place.parse().map_err(|_| {
                    Problem::invalid(format!(
                        "{parameter} is the number of a place, or {END}; it is {place:?}"
                    ))
                })?)),
            };
            Ok::<_, Problem>(Half { parameter, dead, after })
        };
        let [waiting, dead] = Self::NAMES;
        Ok(Self([half(waiting, false)?, half(dead, true)?]))
    }

    fn is_first(&self) -> bool {
        self.0.iter().all(|half| half.after == Some(WorkPlace::START))
    }
}

/// What was looked at of a half.
struct LookedAt {
    count: usize,
    /// Where the next page goes on; none at the end.
    next: Option<WorkPlace>,
}

/// A piece of work without its payload: a page of many large ones needs no more memory than one of small ones.
struct Piece {
    receiver: String,
    kind: WorkKind,
    key: String,
    standing: WorkStanding,
    sent_at: Timestamp,
    sent_by: CommitId,
}

impl From<WorkInfo> for Piece {
    fn from(WorkInfo { work, standing }: WorkInfo) -> Self {
        let (sent_at, sent_by, sent) = (work.sent_at, work.commit_id, work.sent);
        Self { receiver: sent.receiver, kind: sent.kind, key: sent.key, standing, sent_at, sent_by }
    }
}

/// What a page has found of a request.
pub(super) struct FoundWork {
    asked: WorkAsked,
    found: Vec<Piece>,
    halves: [LookedAt; 2],
}

/// Looks for what a request has sent on that has not ended; none where that is not for the visitor.
pub(super) async fn work_of(
    visitor: &Visitor,
    correlation: Option<Uuid>,
    asked: WorkAsked,
) -> Result<Option<FoundWork>, Problem> {
    let Some(correlation) = correlation.filter(|_| visitor.may(Use::Work)) else { return Ok(None) };
    if visitor.app.engine().queue().is_err() {
        return Ok(None);
    }
    let mut found = Vec::new();
    let waiting = look(visitor, correlation, &asked.0[0], &mut found).await?;
    let dead = look(visitor, correlation, &asked.0[1], &mut found).await?;
    Ok(Some(FoundWork { asked, found, halves: [waiting, dead] }))
}

async fn look(
    visitor: &Visitor,
    correlation: Uuid,
    half: &Half,
    found: &mut Vec<Piece>,
) -> Result<LookedAt, Problem> {
    let queue = visitor.app.engine().queue()?;
    let filter =
        WorkFilter { tenant: Some(visitor.tenant().clone()), dead: half.dead, ..WorkFilter::default() };
    let mut looked_at = LookedAt { count: 0, next: half.after };
    while let Some(after) = looked_at.next.filter(|_| looked_at.count < WORK_LOOKED_AT) {
        let list = queue.list_work(&filter, after, WORK_LOOKED_AT - looked_at.count).await?;
        looked_at = LookedAt { count: looked_at.count + list.work.len(), next: list.next() };
        let of_request = list.work.into_iter().filter(|info| {
            let metadata = info.work.metadata.decode::<Metadata>();
            metadata.is_ok_and(|metadata| metadata.correlation_id == Some(correlation))
        });
        found.extend(of_request.map(Piece::from));
    }
    Ok(looked_at)
}

/// What was found, and how far that was looked for.
pub(super) fn section(visitor: &Visitor, query: &EventQuery, work: &FoundWork) -> Markup {
    let headings = ["Receiver", "Kind", "Key", "Standing", "Sent", "By command"];
    html! {
        section aria-labelledby="work-heading" {
            h2 id="work-heading" { "Work that has not ended" }
            @if !work.found.is_empty() {
                (table("Work that has not ended", &headings, html! {
                    @for piece in &work.found { (row(visitor, piece)) }
                }))
            }
            p { (how_far(work)) @if let Some(address) = further(query, work) { " " a href=(address) { "Look further" } } }
        }
    }
}

fn how_far(work: &FoundWork) -> String {
    let [waiting, dead] = &work.halves;
    let is_all = work.asked.is_first() && waiting.next.is_none() && dead.next.is_none();
    match (is_all, work.found.is_empty()) {
        (true, true) => "No work of this request waits or was given up.".to_owned(),
        (true, false) => "That is all of it.".to_owned(),
        (false, is_empty) => {
            let nothing = if is_empty { "Nothing yet. " } else { "" };
            let which = if work.asked.is_first() { "first" } else { "next" };
            let part = |of: &LookedAt| number(of.count as u64);
            format!(
                "{nothing}This page has looked at the {which} {} pieces that wait and {} dead letters of the tenant.",
                part(waiting),
                part(dead)
            )
        }
    }
}

/// Where what is left is looked at.
fn further(query: &EventQuery, work: &FoundWork) -> Option<String> {
    let mut pairs = pairs(query);
    for (half, looked_at) in work.asked.0.iter().zip(&work.halves) {
        let next = looked_at.next.map_or_else(|| END.to_owned(), |next| next.number().to_string());
        pairs.push((half.parameter, next));
    }
    let is_left = work.halves.iter().any(|looked_at| looked_at.next.is_some());
    is_left.then(|| format!("{}#work-heading", address_of(Place::Audit.path(), &pairs)))
}

fn row(visitor: &Visitor, piece: &Piece) -> Markup {
    html! {
        tr {
            th scope="row" { (piece.receiver) }
            td { (piece.kind.name()) }
            td { code { (piece.key) } }
            td { (standing(&piece.standing)) }
            td { (moment(piece.sent_at, visitor.now())) }
            td { (command_link(visitor, piece.sent_by)) }
        }
    }
}

fn standing(standing: &WorkStanding) -> Markup {
    match standing {
        WorkStanding::Ready => status(Tone::Busy, "ready"),
        WorkStanding::Later => status(Tone::Busy, "later"),
        WorkStanding::Behind => status(Tone::Busy, "behind another"),
        WorkStanding::Dead { .. } => status(Tone::Bad, "dead"),
    }
}
