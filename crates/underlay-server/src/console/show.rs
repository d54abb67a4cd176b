//! How pages show things: the same thing the same way everywhere.

use std::fmt::Display;
use std::time::Duration;

use maud::{Markup, html};
use underlay_core::Timestamp;
use underlay_runtime::FollowerStatus;

use crate::metrics::{Arrival, Follows, Pace};

/// How good a word of status is. It is shown by a sign and a colour beside the word, never by the colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// It does what it is there for.
    Good,
    /// It is on its way, or waits for its time.
    Busy,
    /// It waits for a person.
    Bad,
    /// Nothing is the matter.
    Plain,
}

/// A word of status.
pub(super) fn status(tone: Tone, word: impl Display) -> Markup {
    let class = match tone {
        Tone::Good => "status good",
        Tone::Busy => "status busy",
        Tone::Bad => "status bad",
        Tone::Plain => "status",
    };
    html! { span class=(class) { (word.to_string()) } }
}

/// The word for a view, a process or a pump.
pub(super) fn follower_status(word: FollowerStatus) -> Markup {
    let tone = match word {
        FollowerStatus::Live => Tone::Good,
        FollowerStatus::CatchingUp | FollowerStatus::Rebuilding => Tone::Busy,
        FollowerStatus::Paused | FollowerStatus::Failed | FollowerStatus::NotRunning => Tone::Bad,
    };
    status(tone, word)
}

/// A number, with its thousands apart.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A time between moments, as roughly as people say it.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 if time.is_zero() => "0 s".to_owned(),
        0 => format!("{} ms", time.as_millis()),
        1..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// So many a second; words where that is not known yet.
pub(super) fn rate(rate: Option<f64>) -> Markup {
    html! {
        @match rate { Some(rate) => (rate_text(rate)), None => span class="quiet" { "not known yet" } }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is no less than 0")]
fn rate_text(rate: f64) -> String {
    if rate > 0.0 && rate < 9.95 { format!("{rate:.1}/s") } else { number(rate.round() as u64) + "/s" }
}

/// How fast somebody follows the log, and when they have caught up who are behind.
pub(super) fn pace(pace: &Pace, follows: Follows, name: &str, behind: u64, word: FollowerStatus) -> Markup {
    let arrival = pace.arrival(follows, name, behind).filter(|_| behind > 0);
    html! {
        @if word.is_stopped() { "–" } @else {
            (rate(pace.of(follows, name)))
            @match arrival {
                Some(Arrival::In(left)) => { " " small class="quiet" { (duration(left)) " left" } },
                Some(Arrival::Never) => { " " small { (status(Tone::Busy, "not catching up")) } },
                None => {},
            }
        }
    }
}

/// A moment in UTC, to the second, with how long ago it was or how soon it comes.
pub(super) fn moment(at: Timestamp, now: Timestamp) -> Markup {
    let told = at.to_string();
    let (date, time) = told.split_once('T').unwrap_or((&told, ""));
    let time = time.trim_end_matches('Z').split('.').next().unwrap_or_default();
    let passed = Duration::try_from(now.duration_since(at));
    let away = match (passed, Duration::try_from(at.duration_since(now))) {
        (Ok(passed), _) if passed < Duration::from_secs(1) => "now".to_owned(),
        (Ok(passed), _) => format!("{} ago", duration(passed)),
        (_, Ok(left)) => format!("in {}", duration(left)),
        _ => String::new(),
    };
    html! {
        time datetime=(told) { (date) " " (time) " UTC" } " " small class="quiet" { (away) }
    }
}

/// JSON, a member a line. It is the stored text with blanks put in, so every number has the digits that were stored.
pub(super) fn json(text: &str) -> Markup {
    html! { pre class="json" tabindex="0" { code { (indented(text)) } } }
}

fn indented(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() * 2);
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    let mut rest = text.chars().peekable();
    let line = |shown: &mut String, depth: usize| {
        shown.push('\n');
        shown.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(letter) = rest.next() {
        if in_string {
            shown.push(letter);
            in_string = is_escaped || letter != '"';
            is_escaped = !is_escaped && letter == '\\';
            continue;
        }
        match letter {
            '{' | '[' => {
                while rest.next_if(|next| next.is_whitespace()).is_some() {}
                shown.push(letter);
                if let Some(end) = rest.next_if(|next| matches!(next, '}' | ']')) {
                    shown.push(end);
                } else {
                    depth += 1;
                    line(&mut shown, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut shown, depth);
                shown.push(letter);
            }
            ',' => {
                shown.push(letter);
                line(&mut shown, depth);
            }
            ':' => shown.push_str(": "),
            blank if blank.is_whitespace() => {}
            '"' => {
                in_string = true;
                shown.push(letter);
            }
            letter => shown.push(letter),
        }
    }
    shown
}

/// A table in a region that scrolls by itself. The label says what it is, for those who do not see it. A heading that
/// begins with `#` is one of numbers.
pub(super) fn table(label: &str, headings: &[&str], rows: Markup) -> Markup {
    html! {
        div class="sheet scroll" tabindex="0" role="group" aria-label=(label) {
            table {
                thead { tr {
                    @for heading in headings {
                        @match heading.strip_prefix('#') {
                            Some(heading) => th scope="col" class="number" { (heading) },
                            None => th scope="col" { (heading) },
                        }
                    }
                } }
                tbody { (rows) }
            }
        }
    }
}

/// Where a list goes on; nothing where it ends.
pub(super) fn next_page(address: Option<String>) -> Markup {
    html! {
        @if let Some(address) = address {
            nav class="pages" aria-label="Pages" { a href=(address) rel="next" { "Next page" } }
        }
    }
}

/// What stands where there is nothing: that there is nothing, and what to do about it.
pub(super) fn empty(told: &str, advice: Markup) -> Markup {
    html! { div class="sheet empty" { p { strong { (told) } } p { (advice) } } }
}

/// A part of a page that the script keeps up to date. Without a script it is as it was when the page was made.
pub(super) fn live(id: &str, part: Markup) -> Markup {
    html! { div id=(id) data-live { (part) } }
}

/// A sentence of the service as people write one: with a capital letter and an end.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    let end = if text.is_empty() || text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

/// The query of an address.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| format!("{}={}", part(name), part(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// An address with a query; the address alone where there is none.
pub(super) fn address(path: &str, pairs: &[(&str, &str)]) -> String {
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", query(pairs)) }
}

/// A text as one part of a path or a query: whatever is not plain becomes an escape.
pub(super) fn part(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => escaped.push(char::from(byte)),
            // Dots alone are a way up the path.
            b'.' if text.bytes().any(|byte| byte != b'.') => escaped.push('.'),
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_set_with_every_digit_and_letter_it_had() {
        let text = r#"{"a":1.10,"b":[1,{"c":"x, \"y\": {\\"}],"d":{}, "e" : [ ],"f":1e400}"#;
        let set = indented(text);
        assert_eq!(
            set,
            "{\n  \"a\": 1.10,\n  \"b\": [\n    1,\n    {\n      \"c\": \"x, \\\"y\\\": {\\\\\"\n    }\n  ],\n  \
             \"d\": {},\n  \"e\": [],\n  \"f\": 1e400\n}"
        );
        assert_eq!(indented("3"), "3");
        assert_eq!(indented(r#""a:b""#), r#""a:b""#);
    }

    #[test]
    fn numbers_and_times_are_told_as_people_say_them() {
        assert_eq!(number(0), "0");
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        for (seconds, told) in
            [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (200_000, "2 days")]
        {
            assert_eq!(duration(Duration::from_secs(seconds)), told);
        }
        assert_eq!(sentence("nothing is there"), "Nothing is there.");
        for (told, shown) in
            [(0.0, "0/s"), (0.04, "0.0/s"), (9.94, "9.9/s"), (9.96, "10/s"), (1234.5, "1\u{202f}235/s")]
        {
            assert_eq!(rate_text(told), shown);
        }
        assert!(rate(None).into_string().contains("not known yet"));
    }

    #[test]
    fn a_name_stays_one_part_of_an_address() {
        assert_eq!(part("a/b?c=d&e ä"), "a%2Fb%3Fc%3Dd%26e%20%C3%A4");
        assert_eq!(part(".."), "%2E%2E");
        assert_eq!(part("go-on.v2"), "go-on.v2");
        assert_eq!(address("/x", &[("a", "1&2"), ("b[ge]", "")]), "/x?a=1%262&b%5Bge%5D=");
        assert_eq!(address("/x", &[]), "/x");
    }
}
