//! Parts of an index.

use underlay_core::adapter::Walk;
use underlay_core::{Comparison, Cursor, Direction, Filter, Value};

use super::value::encoded;

/// The members between two ends. Both are bytes, not values: what is there, and what is not any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first bytes that are in it; none begins with the first member.
    from: Option<Vec<u8>>,
    /// The first bytes that are not; none ends with the last member.
    to: Option<Vec<u8>>,
}

impl Range {
    /// The members between the bounds of a walk.
    pub(crate) fn of(walk: &Walk<'_>) -> Self {
        let mut range = Self::default();
        for filter in &walk.bounds {
            range.narrow(filter);
        }
        range
    }

    fn narrow(&mut self, filter: &Filter) {
        let value = encoded(&filter.value);
        // No value goes on with a NUL, so all members of a value lie between these two.
        let (first, past) = ([&value[..], &[0]].concat(), [&value[..], &[1]].concat());
        match filter.comparison {
            Comparison::Eq => {
                self.begin_at(first);
                self.end_at(past);
            }
            Comparison::Lt => self.end_at(first),
            Comparison::Le => self.end_at(past),
            Comparison::Gt => self.begin_at(past),
            Comparison::Ge => self.begin_at(first),
            Comparison::Prefix => {
                let mut past = value.clone();
                // Neither a letter nor UTF-8 ends with the last byte there is.
                if let Some(last) = past.last_mut() {
                    *last += 1;
                }
                self.begin_at(value);
                self.end_at(past);
            }
        }
    }

    fn begin_at(&mut self, bytes: Vec<u8>) {
        if self.from.as_ref().is_none_or(|from| *from < bytes) {
            self.from = Some(bytes);
        }
    }

    fn end_at(&mut self, bytes: Vec<u8>) {
        if self.to.as_ref().is_none_or(|to| *to > bytes) {
            self.to = Some(bytes);
        }
    }

    /// Goes on behind a member.
    pub(crate) fn go_on_behind(&mut self, mut member: Vec<u8>, direction: Direction) {
        match direction {
            Direction::Ascending => {
                // No key goes on with a NUL, so this is the first that can follow.
                member.push(0);
                self.begin_at(member);
            }
            Direction::Descending => self.end_at(member),
        }
    }

    /// The ends as the server takes them.
    pub(crate) fn ends(&self) -> (Vec<u8>, Vec<u8>) {
        let from = self.from.as_ref().map_or_else(|| b"-".to_vec(), |from| [&b"["[..], from].concat());
        let to = self.to.as_ref().map_or_else(|| b"+".to_vec(), |to| [&b"("[..], to].concat());
        (from, to)
    }
}

/// The member of the index of a walk in its order that a cursor stands at.
pub(crate) fn member_at(walk: &Walk<'_>, cursor: &Cursor) -> Vec<u8> {
    let one_value = || walk.bounds.iter().find(|filter| filter.comparison == Comparison::Eq);
    let value = cursor.value.as_ref().or_else(|| one_value().map(|filter| &filter.value));
    match walk.column {
        None => cursor.key.clone().into_bytes(),
        Some(_) => member(value.unwrap_or(&Value::Null), &cursor.key),
    }
}

fn member(value: &Value, key: &str) -> Vec<u8> {
    [&encoded(value)[..], &[0], key.as_bytes()].concat()
}

/// The key in a member of an index; of the index of keys it is the member.
pub(crate) fn key_in(member: &[u8], of_keys: bool) -> Option<&str> {
    let key = match member.iter().position(|byte| *byte == 0) {
        Some(at) if !of_keys => &member[at + 1..],
        _ => member,
    };
    std::str::from_utf8(key).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(comparison: Comparison, value: &str) -> Vec<&'static str> {
        const TEXTS: [&str; 6] = ["", "a", "a\u{1}", "ab", "b", "é"];
        let filter = Filter { column: "c".into(), comparison, value: Value::Text(value.into()) };
        let mut range = Range::default();
        range.narrow(&filter);
        let inside = |text: &&str| {
            let member = member(&Value::Text((*text).into()), "id");
            range.from.as_ref().is_none_or(|from| *from <= member)
                && range.to.as_ref().is_none_or(|to| member < *to)
        };
        TEXTS.into_iter().filter(inside).collect()
    }

    #[test]
    fn a_filter_is_a_part_of_the_index() {
        assert_eq!(texts(Comparison::Eq, "a"), ["a"]);
        assert_eq!(texts(Comparison::Lt, "a"), [""]);
        assert_eq!(texts(Comparison::Le, "a"), ["", "a"]);
        assert_eq!(texts(Comparison::Gt, "a"), ["a\u{1}", "ab", "b", "é"]);
        assert_eq!(texts(Comparison::Ge, "ab"), ["ab", "b", "é"]);
        assert_eq!(texts(Comparison::Prefix, "a"), ["a", "a\u{1}", "ab"]);
        assert_eq!(texts(Comparison::Prefix, ""), ["", "a", "a\u{1}", "ab", "b", "é"]);
    }

    #[test]
    fn a_walk_goes_on_behind_a_member() {
        let mut range = Range::default();
        range.go_on_behind(b"ta\0x".to_vec(), Direction::Ascending);
        assert_eq!(range.ends(), (b"[ta\0x\0".to_vec(), b"+".to_vec()));
        range.go_on_behind(b"tb\0y".to_vec(), Direction::Descending);
        assert_eq!(range.ends(), (b"[ta\0x\0".to_vec(), b"(tb\0y".to_vec()));
        assert_eq!(key_in(b"tb\0y", false), Some("y"));
        assert_eq!(key_in(b"y", true), Some("y"));
    }
}
