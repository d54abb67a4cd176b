//! What is different between two states: members that are there in one alone, or with another value.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Changes that are listed.
pub(super) const CHANGES_MAX: usize = 200;

/// A member that is not the same in both.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Its names from the outermost on; a place in a list is a number.
    pub(super) member: String,
    /// None where it was not there.
    pub(super) old: Option<String>,
    /// None where it is not there any more.
    pub(super) new: Option<String>,
}

/// The changes from one text of JSON to another, in the order of names: at most [`CHANGES_MAX`] of them. Values are
/// compared by their stored text, so no digit is lost.
pub(super) fn changes(old: &str, new: &str) -> Vec<Change> {
    let mut found = Vec::new();
    compare("", Some(old), Some(new), &mut found);
    found
}

/// The parts of a value that has some.
enum Parts<'a> {
    Members(BTreeMap<String, &'a RawValue>),
    Places(Vec<&'a RawValue>),
}

fn parts(text: &str) -> Option<Parts<'_>> {
    match text.as_bytes().first()? {
        b'{' => serde_json::from_str(text).ok().map(Parts::Members),
        b'[' => serde_json::from_str(text).ok().map(Parts::Places),
        _ => None,
    }
}

fn compare(member: &str, old: Option<&str>, new: Option<&str>, found: &mut Vec<Change>) {
    if found.len() >= CHANGES_MAX || old == new {
        return;
    }
    match (old.and_then(parts), new.and_then(parts)) {
        (Some(Parts::Members(old)), Some(Parts::Members(new))) => {
            let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let inner = if member.is_empty() { name.clone() } else { format!("{member}.{name}") };
                let value =
                    |of: &BTreeMap<String, &'_ RawValue>| of.get(name).map(|value| value.get().to_owned());
                compare(&inner, value(&old).as_deref(), value(&new).as_deref(), found);
            }
        }
        (Some(Parts::Places(old)), Some(Parts::Places(new))) => {
            for at in 0..old.len().max(new.len()) {
                let value = |of: &Vec<&'_ RawValue>| of.get(at).map(|value| value.get().to_owned());
                compare(&format!("{member}[{at}]"), value(&old).as_deref(), value(&new).as_deref(), found);
            }
        }
        _ => found.push(Change {
            member: member.to_owned(),
            old: old.map(ToOwned::to_owned),
            new: new.map(ToOwned::to_owned),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(old: &str, new: &str) -> Vec<String> {
        let side = |side: Option<String>| side.unwrap_or_else(|| "-".to_owned());
        changes(old, new)
            .into_iter()
            .map(|change| format!("{} {} {}", change.member, side(change.old), side(change.new)))
            .collect()
    }

    #[test]
    fn members_that_differ_are_named_with_both_values() {
        let old = r#"{"a":1,"b":{"c":"x","d":[1,2]},"gone":true,"same":[{"x":1}]}"#;
        let new = r#"{"a":1,"b":{"c":"y","d":[1,3,4]},"same":[{"x":1}],"new":null}"#;
        assert_eq!(
            told(old, new),
            [r#"b.c "x" "y""#, "b.d[1] 2 3", "b.d[2] - 4", "gone true -", "new - null"]
        );
    }

    #[test]
    fn no_digit_is_lost_and_no_kind_is_mixed_up() {
        assert_eq!(told(r#"{"n":1.10}"#, r#"{"n":1.1}"#), ["n 1.10 1.1"]);
        assert_eq!(
            told("10000000000000000000000001", "10000000000000000000000002"),
            [" 10000000000000000000000001 10000000000000000000000002"]
        );
        assert_eq!(told(r#"{"n":{"a":1}}"#, r#"{"n":[1]}"#), [r#"n {"a":1} [1]"#]);
        assert!(told(r#"{"n":{}}"#, r#"{"n":{}}"#).is_empty());
    }

    #[test]
    fn a_list_of_changes_ends() {
        let many: Vec<usize> = (0..CHANGES_MAX * 2).collect();
        let fewer = serde_json::to_string(&Vec::<usize>::new()).unwrap();
        assert_eq!(changes(&fewer, &serde_json::to_string(&many).unwrap()).len(), CHANGES_MAX);
    }
}
