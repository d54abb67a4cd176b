//! What the pages of work share: the filter of a list, and links from a piece to where it comes from.

use maud::{Markup, html};
use underlay_core::{Json, Metadata, StreamName, WorkFilter, WorkId, WorkKind};

use crate::console::layout::Place;
use crate::console::show::{address, part};
use crate::console::visitor::Visitor;
use crate::door::roles::Use;

/// Where one dead letter is shown.
pub(super) fn letter_path(id: WorkId) -> String {
    format!("{}/{id}", Place::DeadLetters.path())
}

/// A link to a dead letter.
pub(super) fn letter_link(id: WorkId) -> Markup {
    html! { a href=(letter_path(id)) { code { (id) } } }
}

/// The name of a stream, as a link for those who may read it.
pub(super) fn stream_link(visitor: &Visitor, stream: &StreamName) -> Markup {
    html! {
        @if visitor.may(Use::Log) {
            a href={ (Place::Streams.path()) "/" (part(stream.as_str())) } { (stream) }
        } @else {
            (stream)
        }
    }
}

/// A link to all that belongs to the same request as a piece of work; nothing where that is not known, or is not for the
/// visitor.
pub(super) fn audit_link(visitor: &Visitor, metadata: &Json) -> Markup {
    let metadata: Option<Metadata> = metadata.decode().ok();
    let id = metadata.and_then(|metadata| metadata.correlation_id).filter(|_| visitor.may(Use::Log));
    html! {
        @if let Some(id) = id {
            a href=(address(Place::Audit.path(), &[("correlation_id", &id.to_string())])) { "What led to it" }
        }
    }
}

/// The parameters of a filter that say anything.
pub(super) fn filter_pairs(filter: &WorkFilter) -> Vec<(&'static str, &str)> {
    let texts = [("receiver", filter.receiver.as_deref()), ("key", filter.key.as_deref())];
    let kind = [("kind", filter.kind.map(WorkKind::name))];
    texts.into_iter().chain(kind).filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The form that narrows a list down.
pub(super) fn filter_form(path: &str, filter: &WorkFilter) -> Markup {
    html! {
        form class="sheet fields filter" method="get" action=(path) aria-label="Filter" {
            div class="field" {
                label for="receiver" { "Receiver" }
                input id="receiver" name="receiver" value=[filter.receiver.as_deref()] autocomplete="off";
            }
            div class="field" {
                label for="key" { "Key" }
                input id="key" name="key" value=[filter.key.as_deref()] autocomplete="off";
            }
            div class="field" {
                label for="kind" { "Kind" }
                select id="kind" name="kind" {
                    option value="" { "every kind" }
                    @for kind in WorkKind::ALL {
                        option value=(kind.name()) selected[filter.kind == Some(kind)] { (kind.name()) }
                    }
                }
            }
            div class="buttons" {
                button type="submit" class="second" { "Filter" }
                @if !filter_pairs(filter).is_empty() { a href=(path) { "Show all" } }
            }
        }
    }
}

/// Links to the lists of one place, of which one is shown: `(word, name)` each, where the first is shown when no word is
/// said.
pub(super) fn tabs(label: &str, path: &str, parameter: &str, words: &[(&str, &str)], shown: &str) -> Markup {
    html! {
        nav class="pages" aria-label=(label) {
            @for (word, name) in words {
                @let to = if word.is_empty() { path.to_owned() } else { address(path, &[(parameter, word)]) };
                a href=(to) aria-current=[(*word == shown).then_some("true")] { (name) }
            }
        }
    }
}
