//! Lists that are longer than what is printed: how a person goes on with one.

use std::io::Write;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, value_parser};
use underlay_core::WorkPlace;

use super::App;
use crate::ExitError;

/// Options of every command that say what is listed: whose, and of which store.
const OF_EVERY_COMMAND: [&str; 3] = ["tenant", "database", "config"];

/// Where a list of work goes on.
pub(super) fn after() -> Arg {
    Arg::new("after")
        .long("after")
        .value_name("PLACE")
        .value_parser(value_parser!(u64))
        .help("Print only what comes after this place, as the end of a list that was cut says it")
}

/// The place that `--after` names.
pub(super) fn after_of(matches: &ArgMatches) -> WorkPlace {
    WorkPlace::from_number(matches.get_one("after").copied().unwrap_or_default())
}

/// Says that a list was cut, and which command line goes on: the same one, after the last that was printed. `options`
/// and `flags` are those of the command, which keep their values.
pub(super) fn tell_more(
    app: &App,
    matches: &ArgMatches,
    words: &str,
    (options, flags): (&[&str], &[&str]),
    after: &str,
) -> Result<(), ExitError> {
    let given = |name: &&&str| {
        matches.try_contains_id(name).unwrap_or(false)
            && matches.value_source(name) == Some(ValueSource::CommandLine)
    };
    let mut line = format!("{} {words}", app.name);
    for name in OF_EVERY_COMMAND.iter().chain(options).filter(given) {
        let value = match (*name, matches.get_raw(name).and_then(|mut values| values.next())) {
            // What is secret in an address is not printed.
            ("database", _) => app.database.clone(),
            (_, Some(value)) => value.to_string_lossy().into_owned(),
            (_, None) => continue,
        };
        line.push_str(&format!(" --{name} {}", quoted(&value)));
    }
    for name in flags.iter().filter(given) {
        line.push_str(&format!(" --{name}"));
    }
    let told = format!("there are more: `{line} --after {}`", quoted(after));
    // A program reads nothing but the list.
    if app.json {
        let _unread = writeln!(std::io::stderr().lock(), "{told}");
        return Ok(());
    }
    Ok(writeln!(super::out(), "{told}")?)
}

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+,=".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A number of things, for people: `1 event`, `2 events`.
pub(super) fn many(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_a_shell_would_take_it_apart() {
        for (word, written) in [
            ("kk0", "kk0"),
            ("sqlite:ledger.db", "sqlite:ledger.db"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$HOME;x", "'$HOME;x'"),
        ] {
            assert_eq!(quoted(word), written);
        }
        assert_eq!((many(0, "event"), many(1, "event")), ("0 events".to_owned(), "1 event".to_owned()));
    }
}
