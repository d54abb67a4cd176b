//! What a command asked for, in one form: tells a repeat from something else.
//!
//! The form is of the text that was asked, where there is one, and not of what the code of today makes
//! of it: a process of a newer version, whose command has one more optional field, reads the same
//! request and must know it for the same.
//!
//! - Members of objects are in the order of their names, a name that is there twice has its last value,
//!   as a parser takes it. Between them is no space.
//! - Texts are written in one way, whatever was escaped. Numbers stay as they were written: `1`, `1.0`
//!   and `1e0` are three, and no digit is lost.
//! - Nothing is left out of a text that somebody sent: `null` may mean something else than no member.
//!   What typed code gives has a member for every field, so there a member that is `null` is left out.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::words::limits::JSON_DEPTH_MAX;
use crate::words::{Error, Fingerprint, Json, StreamName};

/// What was asked, in one form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked(String);

impl Asked {
    /// Takes the body of a request by name; an empty one is an empty object.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is not one JSON value, or deeper than [`JSON_DEPTH_MAX`].
    pub fn by_name(body: &str) -> Result<Self, Error> {
        if body.trim().is_empty() {
            return Ok(Self("{}".to_owned()));
        }
        Self::of(&Json::parse(body)?, Nulls::Kept)
    }

    /// Takes what typed code encodes. A field that is `None` is as if it was not there, so that one may
    /// be added.
    ///
    /// # Errors
    /// As [`Asked::by_name`].
    pub fn typed(encoded: &Json) -> Result<Self, Error> {
        encoded.check()?;
        Self::of(encoded, Nulls::LeftOut)
    }

    /// What a repeat must match: `place` says what it was asked of, and by which name.
    #[must_use]
    pub fn fingerprint<'a>(&'a self, place: impl IntoIterator<Item = &'a str>) -> Fingerprint {
        Fingerprint::of(place.into_iter().chain([self.0.as_str()]).map(str::as_bytes))
    }

    /// What a repeat of a command to a stream must match.
    #[must_use]
    pub fn of_command(&self, stream: &StreamName, name: &str) -> Fingerprint {
        self.fingerprint(["command", stream.as_str(), name])
    }

    /// What a repeat of an operation must match.
    #[must_use]
    pub fn of_operation(&self, name: &str) -> Fingerprint {
        self.fingerprint(["operation", name])
    }

    fn of(json: &Json, nulls: Nulls) -> Result<Self, Error> {
        let node = Reader { rest: json.as_str(), nulls }.value(JSON_DEPTH_MAX)?;
        let mut form = String::with_capacity(json.bytes());
        node.write(&mut form);
        Ok(Self(form))
    }
}

/// What becomes of members that are `null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nulls {
    Kept,
    LeftOut,
}

enum Node<'a> {
    /// A number, a word, or a text with its quotes.
    Plain(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    /// By the names as they are written, with their quotes: two spellings of a name are one by then.
    Object(BTreeMap<Cow<'a, str>, Node<'a>>),
}

impl Node<'_> {
    fn write(&self, form: &mut String) {
        match self {
            Self::Plain(text) => form.push_str(text),
            Self::Array(values) => {
                form.push('[');
                for (at, value) in values.iter().enumerate() {
                    if at > 0 {
                        form.push(',');
                    }
                    value.write(form);
                }
                form.push(']');
            }
            Self::Object(members) => {
                form.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    if at > 0 {
                        form.push(',');
                    }
                    form.push_str(name);
                    form.push(':');
                    value.write(form);
                }
                form.push('}');
            }
        }
    }
}

/// Reads text that is known to be JSON.
struct Reader<'a> {
    rest: &'a str,
    nulls: Nulls,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth_left: usize) -> Result<Node<'a>, Error> {
        match self.peek() {
            Some('{') => self.object(below(depth_left)?),
            Some('[') => self.array(below(depth_left)?),
            Some('"') => self.text().map(Node::Plain),
            _ => {
                let ends = |c: char| matches!(c, ',' | ']' | '}') || c.is_ascii_whitespace();
                let (word, rest) = self.rest.split_at(self.rest.find(ends).unwrap_or(self.rest.len()));
                self.rest = rest;
                Ok(Node::Plain(word.into()))
            }
        }
    }

    fn object(&mut self, depth_left: usize) -> Result<Node<'a>, Error> {
        let mut members = BTreeMap::new();
        self.step();
        while self.peek().is_some_and(|next| next != '}') {
            let name = self.text()?;
            if self.peek() == Some(':') {
                self.step();
            }
            let value = self.value(depth_left)?;
            if self.nulls == Nulls::LeftOut && matches!(&value, Node::Plain(word) if word == "null") {
                members.remove(&name);
            } else {
                members.insert(name, value);
            }
            if self.peek() == Some(',') {
                self.step();
            }
        }
        self.step();
        Ok(Node::Object(members))
    }

    fn array(&mut self, depth_left: usize) -> Result<Node<'a>, Error> {
        let mut values = Vec::new();
        self.step();
        while self.peek().is_some_and(|next| next != ']') {
            values.push(self.value(depth_left)?);
            if self.peek() == Some(',') {
                self.step();
            }
        }
        self.step();
        Ok(Node::Array(values))
    }

    /// A text with its quotes, in the one way it is written.
    fn text(&mut self) -> Result<Cow<'a, str>, Error> {
        self.peek();
        let (mut escaped, mut any_escape, mut end) = (false, false, self.rest.len());
        for (at, byte) in self.rest.bytes().enumerate().skip(1) {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => (escaped, any_escape) = (true, true),
                b'"' => {
                    end = at + 1;
                    break;
                }
                _ => {}
            }
        }
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        if !any_escape {
            return Ok(text.into());
        }
        let unescaped: String = Json::from_stored(text).decode().map_err(not_json)?;
        Ok(Json::encode(&unescaped)?.as_str().to_owned().into())
    }

    /// The next character that is no space.
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.chars().next()
    }

    /// Passes over the character that was looked at.
    fn step(&mut self) {
        let mut rest = self.rest.chars();
        rest.next();
        self.rest = rest.as_str();
    }
}

fn below(depth_left: usize) -> Result<usize, Error> {
    depth_left.checked_sub(1).ok_or_else(|| {
        Error::invalid(format!("JSON that is nested deeper than JSON_DEPTH_MAX = {JSON_DEPTH_MAX}"))
    })
}

fn not_json(error: serde_json::Error) -> Error {
    Error::invalid(format!("not JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_name(body: &str) -> String {
        Asked::by_name(body).unwrap().0
    }

    fn typed(encoded: &str) -> String {
        Asked::typed(&Json::from_stored(encoded)).unwrap().0
    }

    #[test]
    fn what_means_the_same_has_one_form() {
        for (one, other) in [
            (r#"{"b":1,"a":"x"}"#, " {\n\t\"a\" : \"x\" , \"b\" : 1 }\r\n"),
            (r#"{"\u0061":"\u0041\/\u00e9"}"#, r#"{"a":"A/é"}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (r#"{"a":1,"\u0061":2}"#, r#"{"a":2}"#),
            (r#"{"a":{"c":[1, 2],"b":null}}"#, r#"{"a":{"b":null,"c":[1,2]}}"#),
            ("", "{}"),
            (" \n", "{ }"),
            (r#""\ud83d\ude00\n""#, "\"😀\\n\""),
        ] {
            assert_eq!(by_name(one), by_name(other), "{one} and {other}");
        }
        assert_eq!(by_name(r#" { "b" : [ ] , "a" : "\"\\" } "#), r#"{"a":"\"\\","b":[]}"#);
    }

    #[test]
    fn what_may_mean_something_else_has_another() {
        let bodies = [
            "{}",
            "[]",
            "null",
            "0",
            "-0",
            "1",
            "1.0",
            "1.00",
            "1e0",
            "1E0",
            "\"1\"",
            "true",
            "\"true\"",
            "12345678901234567890123",
            "12345678901234567890124",
            "0.1",
            "0.10000000000000000001",
            r#"{"a":null}"#,
            r#"{"a":[]}"#,
            r#"{"a":{}}"#,
            r#"{"a":""}"#,
            r#"{"a":0}"#,
            r#"{"A":0}"#,
            "[null]",
            "[1,2]",
            "[2,1]",
            "[12]",
            "[[1],2]",
            "[1,[2]]",
            r#"["1,2"]"#,
            r#"{"a":"b\":1"}"#,
            r#"{"a":"b","c":1}"#,
            r#"["é"]"#,
            "[\"e\u{301}\"]",
            r#"["\u0000"]"#,
            r#"["\\u0000"]"#,
        ];
        for (at, one) in bodies.iter().enumerate() {
            for other in &bodies[at + 1..] {
                assert_ne!(by_name(one), by_name(other), "{one} and {other}");
            }
        }
    }

    #[test]
    fn typed_code_may_get_an_optional_field() {
        assert_eq!(typed(r#"{"amount":1,"note":null}"#), typed(r#"{"amount":1}"#));
        assert_eq!(typed(r#"{"a":[{"b":null}],"c":{"d":null}}"#), r#"{"a":[{}],"c":{}}"#);
        assert_ne!(typed("[null,1]"), typed("[1]"), "a place in a list is a place");
        assert_ne!(typed("null"), typed("{}"));
        assert_eq!(typed(r#"{"amount":1}"#), by_name(r#"{ "amount": 1 }"#), "called by its name or not");
    }

    #[test]
    fn what_is_no_json_or_too_deep_is_refused() {
        for text in
            ["{", "nothing", "{\"a\":1}x", "\"\\ud800\"", "[1,]", "{\"a\" 1}", "\"a", "{\"\\ud800\":1}"]
        {
            assert!(matches!(Asked::by_name(text), Err(Error::Invalid(_))), "{text}");
        }
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(by_name(&nested(JSON_DEPTH_MAX)), nested(JSON_DEPTH_MAX));
        for depth in [JSON_DEPTH_MAX + 1, 100_000] {
            let error = Asked::by_name(&nested(depth)).unwrap_err().to_string();
            assert!(error.contains("JSON_DEPTH_MAX"), "{error}");
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_form_is_the_value_and_is_its_own_form(value in any_json()) {
            let form = by_name(&serde_json::to_string_pretty(&value).unwrap());
            prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&form).unwrap(), &value);
            prop_assert_eq!(by_name(&form), form);
        }

        #[test]
        fn any_text_is_taken_or_refused(text in "[\\[\\]{}:,\"\\\\ntrue0-9 .e-]{0,12}") {
            let taken = Asked::by_name(&text).is_ok();
            let parses = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(taken, parses || text.trim().is_empty());
        }
    }
}
