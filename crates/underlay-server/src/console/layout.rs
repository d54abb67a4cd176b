use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::form::button;
use super::visitor::Visitor;
use super::{ROOT, assets, entries, session};
use crate::app::App;
use crate::edge::base_path;

/// A page runs its own script and has its own style, asks this service alone, and sits in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// No other site is told the address of a page: it may hold names of a tenant.
const REFERRERS: &str = "same-origin";

/// What the navigation leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Events,
    Streams,
    Views,
    Entities,
    Send,
    Commands,
    Outbox,
    DeadLetters,
    Processes,
    Schedules,
    Audit,
    Start,
}

impl Place {
    const ALL: [Self; 13] = [
        Self::Overview,
        Self::Events,
        Self::Streams,
        Self::Audit,
        Self::Views,
        Self::Entities,
        Self::Send,
        Self::Commands,
        Self::Outbox,
        Self::DeadLetters,
        Self::Processes,
        Self::Schedules,
        Self::Start,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Events => "Events",
            Self::Streams => "Streams",
            Self::Audit => "Audit",
            Self::Views => "Views",
            Self::Entities => "Entities",
            Self::Send => "Send",
            Self::Commands => "Commands",
            Self::Outbox => "Outbox",
            Self::DeadLetters => "Dead letters",
            Self::Processes => "Processes",
            Self::Schedules => "Schedules",
            Self::Start => "First steps",
        }
    }

    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Overview => ROOT,
            Self::Events => "/console/events",
            Self::Streams => "/console/streams",
            Self::Audit => "/console/audit",
            Self::Views => "/console/views",
            Self::Entities => "/console/entities",
            Self::Send => "/console/send",
            Self::Commands => "/console/commands",
            Self::Outbox => "/console/outbox",
            Self::DeadLetters => "/console/dead-letters",
            Self::Processes => "/console/processes",
            Self::Schedules => "/console/schedules",
            Self::Start => "/console/start",
        }
    }
}

/// What was done just now, by the word that stands in the address of the next page. The words are a closed list, so
/// that nobody puts a sentence on a page by a link.
const NOTICES: &[(&str, &str)] = &[
    ("rebuild", "The rebuild is ordered. A process that keeps the view carries it out."),
    ("verify", "The verification is ordered. A process that keeps the view carries it out."),
    ("repair", "The repair is ordered. A process that keeps the view carries it out."),
    ("cancel", "The order is cancelled."),
    ("revert", "The rows from before the last rebuild are read again."),
    ("discard", "What is not read is given up."),
    ("retry", "The view was tried again. Its status says whether it goes on."),
    ("skip", "The event is passed over. The view goes on after it."),
    ("none-picked", "Nothing was picked, and nothing was done."),
    ("letter-replayed", "The dead letter is due again at once."),
    ("letter-discarded", "The dead letter is removed."),
    ("letters-replayed", "The dead letters are due again at once."),
    (
        "letters-replayed-but",
        "The dead letters are due again at once, but for commands of which a process was told that they failed. \
         Discard those.",
    ),
    ("letters-replayed-more", "So many as one order takes are due again. More are left: they begin here."),
    ("letters-discarded", "The dead letters are removed."),
    ("letters-discarded-more", "So many as one order takes are removed. More are left: they begin here."),
    ("command-cancelled", "The command is cancelled. It never runs."),
    ("tried-again", "It tries again, and its status says what comes of it."),
    ("not-stopped", "Nothing had stopped it, and nothing was done."),
    ("schedule-put", "The schedule is put."),
    ("schedule-removed", "The schedule is removed."),
    ("entity-created", "The entity is created."),
    ("entity-saved", "The entity is saved."),
    ("entity-removed", "The entity is removed."),
];

/// The sentence of a word.
pub(super) fn notice(word: &str) -> Option<&'static str> {
    NOTICES.iter().find(|(known, _)| *known == word).map(|(_, sentence)| *sentence)
}

/// A page for somebody who is let in.
pub(super) struct Page<'a> {
    visitor: &'a Visitor,
    place: Option<Place>,
    title: String,
    /// The pages above this one.
    trail: Vec<(String, String)>,
}

impl<'a> Page<'a> {
    /// A page below a place of the navigation, with its heading.
    pub(super) fn new(visitor: &'a Visitor, place: Option<Place>, title: impl Into<String>) -> Self {
        Self { visitor, place, title: title.into(), trail: Vec::new() }
    }

    /// Says which page this one is below, the outermost first.
    pub(super) fn below(mut self, path: impl Into<String>, name: impl Into<String>) -> Self {
        self.trail.push((path.into(), name.into()));
        self
    }

    /// The page, with what stands under its heading.
    pub(super) fn respond(self, body: Markup) -> Response {
        let visitor = self.visitor;
        let content = html! {
            @if !self.trail.is_empty() {
                nav class="trail" aria-label="Above this page" {
                    ol { @for (path, name) in &self.trail { li { a href=(path) { (name) } } } }
                }
            }
            h1 { (self.title) }
            @if let Some(notice) = visitor.notice { p class="notice" role="status" { (notice) } }
            (body)
        };
        document(&visitor.app, &self.title, Some((visitor, self.place)), content)
    }
}

/// A page for somebody who is not known.
pub(super) fn plain(app: &App, title: &str, body: Markup) -> Response {
    document(app, title, None, html! { h1 { (title) } (body) })
}

fn document(app: &App, title: &str, who: Option<(&Visitor, Option<Place>)>, content: Markup) -> Response {
    let (service, base) = (&app.config().service, app.config().base_path.as_str());
    let page = html! {
        (DOCTYPE)
        html lang="en" data-base=[(!base.is_empty()).then_some(base)] {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) @if title != service { " – " (service) } }
                link rel="icon" href="data:,";
                link rel="stylesheet" href=(assets::STYLE_PATH);
                script src=(assets::SCRIPT_PATH) defer {}
            }
            body {
                a class="skip" href="#content" { "To the content" }
                header class="top" {
                    a class="service" href=(ROOT) { (service) }
                    @if let Some((visitor, _)) = who { (whoami(visitor)) }
                }
                @if let Some((visitor, place)) = who { (navigation(visitor, place)) }
                main id="content" tabindex="-1" { (content) }
                p id="connection" role="status" {}
            }
        }
    };
    let headers = [(CONTENT_SECURITY_POLICY, POLICY), (REFERRER_POLICY, REFERRERS)];
    let headers: [(HeaderName, HeaderValue); 2] =
        headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    (headers, Html(base_path::links_below(base, page.into_string()))).into_response()
}

fn whoami(visitor: &Visitor) -> Markup {
    let actor = visitor.principal.actor.name.as_deref();
    html! {
        div class="who" {
            span {
                span class="quiet" { "Tenant " } (visitor.tenant())
                @if let Some(actor) = actor { span class="quiet" { " · " } (actor) }
            }
            @if visitor.has_signed_in { (button(visitor, session::SIGN_OUT, "plain", "Sign out")) }
        }
    }
}

/// What a visitor may go to.
fn navigation(visitor: &Visitor, current: Option<Place>) -> Markup {
    let pages = entries();
    let has_entities = !visitor.app.engine().registry().entities().is_empty();
    let is_theirs = |place: &Place| {
        (has_entities || *place != Place::Entities)
            && pages
                .iter()
                .any(|entry| entry.path == place.path() && entry.method == "GET" && visitor.may(entry.to))
    };
    html! {
        nav class="places" aria-label="Console" {
            ul {
                @for place in Place::ALL.into_iter().filter(is_theirs) {
                    li {
                        a href=(place.path()) aria-current=[(current == Some(place)).then_some("page")] {
                            (place.name())
                        }
                    }
                }
                li { a href="/docs" { "API" } }
            }
        }
    }
}
