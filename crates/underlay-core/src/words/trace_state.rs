//! What the systems of a trace tell each other beside its context, as W3C Trace Context writes it down.

use std::collections::HashSet;
use std::fmt;

/// Members of one trace state.
const MEMBERS_MAX: usize = 32;
/// Characters in the key of a member, and in its value.
const TEXT_CHARS_MAX: usize = 256;
/// Characters of a trace state that are passed on.
const CHARS_MAX: usize = 512;
/// Characters of a member that has to leave before shorter ones do.
const LONG_MEMBER_CHARS: usize = 128;

/// A `tracestate` that is well formed and not longer than what is passed on. It belongs to a `traceparent`, and says
/// nothing without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceState(String);

impl TraceState {
    /// Reads a `tracestate`: members `key=value` with commas between them. Several headers are one, with a comma between
    /// each two. What is not well formed is none, as the specification asks, and so is what has no members. Of what is
    /// too long to be passed on, whole members are left out: those of more than 128 characters first, from the end.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let trimmed = text.split(',').map(|member| member.trim_matches([' ', '\t']));
        let mut members: Vec<&str> = trimmed.filter(|member| !member.is_empty()).collect();
        let mut keys = HashSet::new();
        let is_good = |member: &&str| match member.split_once('=') {
            Some((key, value)) => is_key(key) && is_value(value) && keys.insert(key.to_owned()),
            None => false,
        };
        if members.is_empty() || members.len() > MEMBERS_MAX || !members.iter().all(is_good) {
            return None;
        }
        while chars(&members) > CHARS_MAX {
            let last_long = members.iter().rposition(|member| member.len() > LONG_MEMBER_CHARS);
            members.remove(last_long.unwrap_or(members.len() - 1));
        }
        (!members.is_empty()).then(|| Self(members.join(",")))
    }
}

/// The length of members with commas between them.
fn chars(members: &[&str]) -> usize {
    members.iter().map(|member| member.len() + 1).sum::<usize>().saturating_sub(1)
}

fn is_key(key: &str) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_known = |byte: u8| is_alphanumeric(byte) || b"_-*/@".contains(&byte);
    key.len() <= TEXT_CHARS_MAX
        && key.bytes().next().is_some_and(is_alphanumeric)
        && key.bytes().all(is_known)
}

/// The spaces around it are gone, so it ends in none.
fn is_value(value: &str) -> bool {
    let is_printable = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'=';
    (1..=TEXT_CHARS_MAX).contains(&value.len()) && value.bytes().all(is_printable)
}

/// As a header has it.
impl fmt::Display for TraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        TraceState::parse(text).map(|state| state.to_string())
    }

    fn member(key: &str, chars: usize) -> String {
        format!("{key}={}", "v".repeat(chars - key.len() - 1))
    }

    #[test]
    fn members_go_on_in_their_order_without_what_is_around_them() {
        for text in ["a=1", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "0k/_-*/@x=a b !~", "t@s=1", "a= 1"] {
            assert_eq!(read(text).as_deref(), Some(text));
        }
        assert_eq!(read(" ,a=1 ,\t, b=2\t,").as_deref(), Some("a=1,b=2"), "an empty member is none");
        let most = (0..MEMBERS_MAX).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(",");
        assert_eq!(read(&most), Some(most));
        let longest = format!("{}=1", "k".repeat(TEXT_CHARS_MAX));
        assert_eq!(read(&longest), Some(longest));
    }

    #[test]
    fn what_is_not_well_formed_is_no_state() {
        let too_many = (0..=MEMBERS_MAX).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(",");
        let (long_key, long_value) =
            (format!("{}=1", "k".repeat(TEXT_CHARS_MAX + 1)), member("k", TEXT_CHARS_MAX + 3));
        let wrong = [
            "",
            " , ",
            "a",
            "a=",
            "=1",
            "A=1",
            "a b=1",
            "_a=1",
            "@a=1",
            "a=1=2",
            "a=1;b=2=3",
            "a =1",
            "a=ä",
            "a=\u{7f}",
            "a=1\n",
            "a=1,b",
            "a=1,a=2",
            &too_many,
            &long_key,
            &long_value,
        ];
        for text in wrong {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_too_long_loses_whole_members_the_long_ones_first() {
        let (first, second, third) = (member("a", 200), member("b", 128), member("c", 129));
        let whole = format!("{first},{second},{}", member("d", 182));
        assert_eq!((whole.len(), read(&whole)), (CHARS_MAX, Some(whole.clone())));
        let without_the_last_long = read(&format!("{first},{third},{second},{second}").replacen('b', "e", 1));
        assert_eq!(without_the_last_long, Some(format!("{first},{},{second}", member("e", 128))));
        let short = ["f", "g", "h", "i", "j"].map(|key| member(key, 128)).join(",");
        assert_eq!(read(&short), Some(["f", "g", "h"].map(|key| member(key, 128)).join(",")));
        assert_eq!(read(&format!("{}={}", "k".repeat(256), "v".repeat(256))), None, "nothing is left of it");
    }
}
