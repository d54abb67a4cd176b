//! Rules for Rust files: names, module documentation, time and sleep behind the clock port.

use std::collections::HashSet;

use super::Finding;
use super::code::code_only;
use crate::repository::TextFile;

/// Names that say nothing about what a file holds.
const EMPTY_NAMES: &[&str] = &["common", "helper", "helpers", "manager", "misc", "types", "util", "utils"];

/// What kind of code a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Part of the product.
    Product,
    /// A test, or the kit for tests.
    Test,
    /// A task of the project, or a benchmark.
    Task,
}

struct Rule {
    /// Names the rule in the list of exceptions.
    name: &'static str,
    /// Any of these, each a list of words that must all be on the line.
    any: &'static [&'static [&'static str]],
    kinds: &'static [Kind],
    reason: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        name: "unfinished",
        any: &[&["todo!"], &["unimplemented!"], &["dbg!"]],
        kinds: &[Kind::Product, Kind::Test, Kind::Task],
        reason: "unfinished code is not committed",
    },
    Rule {
        name: "wall clock",
        any: &[
            &["Timestamp::now"],
            &["Zoned::now"],
            &["SystemTime::now"],
            &["Instant::now"],
            &["UNIX_EPOCH.elapsed"],
        ],
        kinds: &[Kind::Product],
        reason: "the wall clock is read through the Clock port, so that tests can move it",
    },
    Rule {
        name: "sleep",
        any: &[
            &["time::sleep"],
            &["time::sleep_until"],
            &["time::interval"],
            &["time::{", "sleep"],
            &["time::{", "sleep_until"],
            &["time::{", "interval"],
        ],
        kinds: &[Kind::Product, Kind::Test],
        reason: "sleeping goes through the Clock port; a test waits for a signal",
    },
    Rule {
        name: "thread sleep",
        any: &[&["thread::sleep"], &["thread::{", "sleep"]],
        kinds: &[Kind::Product, Kind::Test],
        reason: "a thread waits for a signal, with a limit, and never sleeps",
    },
];

/// A file that may break a rule, and why.
struct Exception {
    path: &'static str,
    rule: &'static str,
    reason: &'static str,
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        path: "crates/underlay-core/src/ports/clock.rs",
        rule: "wall clock",
        reason: "the Clock port's own reading of it",
    },
    Exception {
        path: "crates/underlay-core/src/ports/clock.rs",
        rule: "sleep",
        reason: "the Clock port's own sleep",
    },
    Exception {
        path: "crates/cargo-underlay/src/lint/today.rs",
        rule: "wall clock",
        reason: "the day on which exceptions are judged, in a program that has no ports; tests give it the day",
    },
    Exception {
        path: "crates/underlay-sqlite/src/connections/database.rs",
        rule: "wall clock",
        reason: "the limit of a wait for another process, while the file is opened",
    },
    Exception {
        path: "crates/underlay-sqlite/src/connections/database.rs",
        rule: "thread sleep",
        reason: "SQLite has no signal for the moment another process stops turning the WAL on",
    },
];

pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut used = HashSet::new();
    for file in files.iter().filter(|file| file.path.ends_with(".rs")) {
        findings.extend(check_name(file));
        findings.extend(check_module_docs(file));
        check_code(file, &mut findings, &mut used);
    }
    for exception in EXCEPTIONS {
        let Some(file) = files.iter().find(|file| file.path == exception.path) else { continue };
        if !used.contains(&(exception.path, exception.rule)) {
            let rule =
                format!("the exception for {} ({}) is needed no more", exception.rule, exception.reason);
            findings.push(Finding::new(file, 1, rule));
        }
    }
    findings
}

fn check_name(file: &TextFile) -> Option<Finding> {
    let mut segments = file.path.trim_end_matches(".rs").split('/');
    let empty = segments.find(|segment| EMPTY_NAMES.contains(segment))?;
    Some(Finding::new(file, 1, format!("`{empty}` says nothing; name a file after what it holds")))
}

fn check_module_docs(file: &TextFile) -> Option<Finding> {
    if !["lib.rs", "mod.rs"].contains(&file.name()) {
        return None;
    }
    let first = file.lines().find(|(_, line)| !line.trim().is_empty());
    if first.is_some_and(|(_, line)| line.starts_with("//!")) {
        return None;
    }
    Some(Finding::new(
        file,
        first.map_or(1, |(number, _)| number),
        "begins with `//!`: what is in here, and why",
    ))
}

fn check_code(
    file: &TextFile,
    findings: &mut Vec<Finding>,
    used: &mut HashSet<(&'static str, &'static str)>,
) {
    let code = code_only(&file.text);
    let mut kind = kind_of(&file.path);
    let mut lines = code.lines().enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        // Tests are the last module of a file.
        if line.trim() == "#[cfg(test)]"
            && lines.peek().is_some_and(|(_, next)| next.starts_with("mod tests"))
        {
            kind = if kind == Kind::Task { kind } else { Kind::Test };
        }
        for rule in RULES.iter().filter(|rule| rule.kinds.contains(&kind)) {
            if !rule.any.iter().any(|words| words.iter().all(|word| holds(line, word))) {
                continue;
            }
            let exception = EXCEPTIONS.iter().find(|it| it.path == file.path && it.rule == rule.name);
            match exception {
                Some(exception) => {
                    used.insert((exception.path, exception.rule));
                }
                None => findings.push(Finding::new(file, at + 1, rule.reason)),
            }
        }
    }
}

fn kind_of(path: &str) -> Kind {
    let mut segments = path.split('/');
    if ["xtask/", "harness/", "servers/", "bench/"].iter().any(|start| path.starts_with(start))
        || segments.clone().any(|segment| segment == "benches")
    {
        Kind::Task
    } else if segments.any(|segment| ["tests", "tests.rs", "underlay-testkit"].contains(&segment)) {
        Kind::Test
    } else {
        Kind::Product
    }
}

/// Whether a line holds the words, not as part of longer ones.
fn holds(line: &str, words: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(words).any(|(at, _)| {
        let joined = |outside: Option<char>, inside: Option<char>| {
            outside.is_some_and(in_word) && inside.is_some_and(in_word)
        };
        !joined(line[..at].chars().next_back(), words.chars().next())
            && !joined(line[at + words.len()..].chars().next(), words.chars().next_back())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        let file = TextFile { path: path.to_owned(), text: text.to_owned() };
        check(&[file]).into_iter().map(|finding| (finding.line, finding.rule)).collect()
    }

    fn lines(path: &str, text: &str) -> Vec<usize> {
        found(path, text).into_iter().map(|(line, _)| line).collect()
    }

    #[test]
    fn unfinished_code_is_found_everywhere() {
        for path in ["crates/a/src/b.rs", "crates/a/tests/it/b.rs", "xtask/src/b.rs"] {
            assert_eq!(lines(path, "fn a() {}\nfn b() { todo!() }\n"), [2], "{path}");
        }
        assert_eq!(lines("a.rs", "// todo! later\nlet a = \"dbg!\";\n"), [0usize; 0]);
    }

    #[test]
    fn the_wall_clock_is_for_tests_and_tasks() {
        let source = "fn a() { Instant::now(); }\n#[cfg(test)]\nmod tests {\n Instant::now();\n}\n";
        assert_eq!(lines("crates/a/src/b.rs", source), [1]);
        assert_eq!(lines("xtask/src/b.rs", source), [0usize; 0]);
        assert_eq!(lines("crates/a/benches/b.rs", source), [0usize; 0]);
        assert_eq!(lines("crates/a/src/b.rs", "map(SystemTime::now)\n"), [1]);
        assert_eq!(lines("crates/a/src/b.rs", "MyInstant::now(); Instant::now_later()"), [0usize; 0]);
    }

    #[test]
    fn sleeping_is_found_in_tests_too() {
        let source =
            "use tokio::time::{Duration, sleep};\ntokio::time::sleep(a).await;\nstd::thread::sleep(a);\n";
        assert_eq!(lines("crates/a/tests/it/b.rs", source), [1, 2, 3]);
        assert_eq!(lines("xtask/src/b.rs", source), [0usize; 0]);
    }

    #[test]
    fn an_exception_holds_for_its_file_and_must_be_needed() {
        let path = "crates/underlay-core/src/ports/clock.rs";
        assert_eq!(found(path, "Timestamp::now();\ntokio::time::sleep(a);\n"), []);
        let stale = found(path, "tokio::time::sleep(a);\n");
        assert_eq!(stale.len(), 1);
        assert!(stale[0].1.contains("wall clock") && stale[0].1.contains("no more"), "{stale:?}");
    }

    #[test]
    fn a_name_that_says_nothing_is_found() {
        assert_eq!(lines("crates/a/src/utils.rs", "fn a() {}\n"), [1]);
        assert_eq!(lines("crates/a/tests/common/mod.rs", "//! Docs.\n"), [1]);
        assert_eq!(lines("crates/a/src/manager_of_wakeups.rs", "fn a() {}\n"), [0usize; 0]);
    }

    #[test]
    fn a_module_begins_with_its_documentation() {
        assert_eq!(lines("crates/a/src/lib.rs", "\nmod a;\n"), [2]);
        assert_eq!(lines("crates/a/src/b/mod.rs", ""), [1]);
        assert_eq!(lines("crates/a/src/lib.rs", "//! Docs.\nmod a;\n"), [0usize; 0]);
    }
}
