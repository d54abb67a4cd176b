//! Pages of a list: where they are asked for, and what they hold.

use hyper::header::LINK;
use serde_json::value::RawValue;
use underlay_core::{Comparison, Condition, Direction, Filter, Query, Value};

use super::HttpConfig;
use super::address::{Address, encoded};
use super::answers::json_body;
use super::config::Api;
use super::connections::Answer;
use super::document::Members;
use super::plain::{BODY_ITSELF, LINK_HEADER};

/// Bytes of a query that is sent. Others between the two may take no longer ones, so what exceeds it is tested here alone.
const QUERY_BYTES_MAX: usize = 6 << 10;

/// A page of a list.
pub(super) struct ListPage {
    pub(super) items: Vec<Members>,
    pub(super) next: Option<NextPage>,
    /// How many there are on all pages, where that was asked for.
    pub(super) count: Option<u64>,
}

/// Where the next page is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NextPage {
    /// At the same address with this cursor.
    Cursor(String),
    /// At this path and query.
    Target(String),
}

/// What a service is asked of a query.
pub(super) struct Narrowed {
    /// Parameters, each as it is sent.
    parameters: Vec<String>,
    /// Whether nothing of the query is left to be tested here.
    pub(super) is_whole: bool,
}

impl Narrowed {
    /// As much of a query as a service understands.
    pub(super) fn of(config: &HttpConfig, query: &Query) -> Self {
        match config.api {
            Api::Underlay => Self::of_underlay(query),
            Api::Plain => Self::of_plain(config, query),
        }
    }

    fn of_underlay(query: &Query) -> Self {
        let column = query.sort.column.as_deref().unwrap_or("id");
        let sign = if query.sort.direction == Direction::Descending { "-" } else { "" };
        let mut narrowed = Self { parameters: vec![format!("sort={sign}{column}")], is_whole: true };
        for Filter { column, comparison, value } in &query.filters {
            narrowed.push(format!("{column}%5B{}%5D={}", name_of(*comparison), encoded(&text_of(value))));
        }
        if !query.condition.is_empty() {
            narrowed.push(format!("condition={}", encoded(&query.condition.to_json().to_string())));
        }
        narrowed
    }

    fn of_plain(config: &HttpConfig, query: &Query) -> Self {
        let mut narrowed = Self { parameters: Vec::new(), is_whole: false };
        let parts = match &query.condition {
            Condition::All(parts) => parts.as_slice(),
            other => std::slice::from_ref(other),
        };
        let compared = parts.iter().filter_map(|part| match part {
            Condition::Compare(filter) => Some(filter),
            _ => None,
        });
        let mut sent: Vec<&str> = Vec::new();
        for filter in query.filters.iter().chain(compared) {
            let is_known =
                config.plain.filters.contains(&filter.column) && filter.comparison == Comparison::Eq;
            // Of two that name one column, a service may take either.
            if is_known && !sent.contains(&filter.column.as_str()) {
                sent.push(&filter.column);
                narrowed.push(format!("{}={}", encoded(&filter.column), encoded(&text_of(&filter.value))));
            }
        }
        narrowed
    }

    fn push(&mut self, parameter: String) {
        let sent: usize = self.parameters.iter().map(|parameter| parameter.len() + 1).sum();
        if sent + parameter.len() > QUERY_BYTES_MAX {
            self.is_whole = false;
        } else {
            self.parameters.push(parameter);
        }
    }

    /// Where the first page is, or the one with a cursor.
    pub(super) fn target(
        &self,
        config: &HttpConfig,
        list: &str,
        rows: usize,
        cursor: Option<&str>,
    ) -> String {
        let (limit_name, cursor_name) = match config.api {
            Api::Underlay => ("limit", "cursor"),
            Api::Plain => (config.plain.limit.as_str(), config.plain.cursor.as_str()),
        };
        let mut parameters = self.parameters.clone();
        if !limit_name.is_empty() {
            parameters.push(format!("{}={rows}", encoded(limit_name)));
        }
        parameters.extend(cursor.map(|cursor| format!("{}={}", encoded(cursor_name), encoded(cursor))));
        if parameters.is_empty() { list.to_owned() } else { format!("{list}?{}", parameters.join("&")) }
    }

    /// Asks for the count of all pages too.
    pub(super) fn with_count(mut self) -> Self {
        self.parameters.push("count=true".to_owned());
        self
    }
}

fn name_of(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Eq => "eq",
        Comparison::Lt => "lt",
        Comparison::Le => "le",
        Comparison::Gt => "gt",
        Comparison::Ge => "ge",
        Comparison::Prefix => "prefix",
    }
}

/// A value as a text: what it is in JSON, without quotes.
fn text_of(value: &Value) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

impl ListPage {
    /// Reads a page.
    ///
    /// # Errors
    /// What it is not.
    pub(super) fn read(
        config: &HttpConfig,
        address: &Address,
        target: &str,
        answer: &Answer,
    ) -> Result<Self, String> {
        let body = json_body(answer)?;
        let (items_at, next_at) = match config.api {
            Api::Underlay => ("entities", "next"),
            Api::Plain => (config.plain.items.as_str(), config.plain.next.as_str()),
        };
        let wrong = |what: &str| format!("the answer is no list: {what}");
        let not_json = |error: serde_json::Error| wrong(&error.to_string());
        if items_at == BODY_ITSELF {
            let items = serde_json::from_slice(body).map_err(not_json)?;
            return Ok(Self { items, next: link(address, target, answer)?, count: None });
        }
        let mut members: Members = serde_json::from_slice(body).map_err(not_json)?;
        let items = members.take(items_at).ok_or_else(|| wrong(&format!("member {items_at} is missing")))?;
        let items = serde_json::from_str(items.get())
            .map_err(|error| wrong(&format!("member {items_at} does not hold objects: {error}")))?;
        let next = match next_at {
            LINK_HEADER => link(address, target, answer)?,
            member => match members.take(member) {
                Some(raw) => next_page(address, target, &raw)
                    .map_err(|what| wrong(&format!("member {member} {what}")))?,
                None => None,
            },
        };
        let count = members.take("count").and_then(|raw| raw.get().parse().ok());
        Ok(Self { items, next, count })
    }
}

/// What a member says of the next page.
fn next_page(address: &Address, target: &str, raw: &RawValue) -> Result<Option<NextPage>, String> {
    match serde_json::from_str(raw.get()) {
        Ok(serde_json::Value::Null) => Ok(None),
        Ok(serde_json::Value::Number(number)) => Ok(Some(NextPage::Cursor(number.to_string()))),
        Ok(serde_json::Value::String(text)) if text.is_empty() => Ok(None),
        Ok(serde_json::Value::String(text)) if text.contains("://") || text.starts_with(['/', '?']) => {
            let same = address.same_service(&text, target);
            same.map(|target| Some(NextPage::Target(target)))
                .ok_or_else(|| "leads to another service".to_owned())
        }
        Ok(serde_json::Value::String(text)) => Ok(Some(NextPage::Cursor(text))),
        _ => Err("is no cursor".to_owned()),
    }
}

/// What the header `Link` says of the next page: `</rates?page=2>; rel="next"`.
fn link(address: &Address, target: &str, answer: &Answer) -> Result<Option<NextPage>, String> {
    for value in answer.headers.get_all(LINK) {
        let text = value.to_str().map_err(|_| "the header Link is not ASCII".to_owned())?;
        // A comma may stand in an address, so links end where the next one begins.
        for part in text.split('<').skip(1) {
            let Some((link, parameters)) = part.split_once('>') else { continue };
            let is_next = parameters.split(';').any(|parameter| {
                let parameter = parameter.trim().trim_end_matches(',').trim();
                let rel = parameter.strip_prefix("rel=").map(|rel| rel.trim_matches('"'));
                rel.is_some_and(|rel| rel.split(' ').any(|rel| rel.eq_ignore_ascii_case("next")))
            });
            if is_next {
                let same = address.same_service(link, target);
                let same = same.ok_or_else(|| "the header Link leads to another service".to_owned())?;
                return Ok(Some(NextPage::Target(same)));
            }
        }
    }
    Ok(None)
}
