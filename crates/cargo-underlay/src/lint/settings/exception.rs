use std::fmt;

use jiff::civil::Date;
use toml::de::{DeTable, DeValue};

use super::super::rule::Rule;
use super::pattern::check_path;
use super::reading::{Reading, instead};

/// A place that may break a rule, until a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exception {
    /// From the root of the workspace.
    pub(crate) file: String,
    pub(crate) rule: Rule,
    pub(crate) reason: String,
    pub(crate) approved_by: String,
    /// The last day on which it holds.
    pub(crate) until: Date,
    /// What covers the code.
    pub(crate) test: TestName,
    /// Where it is registered.
    pub(crate) line: usize,
}

/// A test, by its file and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TestName {
    pub(crate) file: String,
    /// The name of the function; modules may stand before it.
    pub(crate) name: String,
}

impl TestName {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} names no test; write it as tests/orders.rs::name");
        let (file, name) = text.split_once("::").ok_or_else(wrong)?;
        if !file.ends_with(".rs") || name.is_empty() {
            return Err(wrong());
        }
        check_path(file)?;
        Ok(Self { file: file.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Display for TestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.file, self.name)
    }
}

const KEYS: &[&str] = &["file", "rule", "reason", "approved_by", "until", "test"];

/// All that are registered.
pub(super) fn exceptions(reading: &mut Reading<'_>, root: &DeTable<'_>) -> Vec<Exception> {
    let mut all: Vec<Exception> = Vec::new();
    for (table, at) in reading.tables(root, "exception") {
        reading.only(table, KEYS);
        let Some(exception) = exception(reading, table, at) else { continue };
        let same = |other: &&Exception| other.file == exception.file && other.rule == exception.rule;
        match all.iter().find(same) {
            Some(first) => {
                let Exception { rule, file, .. } = &exception;
                let first = first.line;
                reading.wrong(
                    at,
                    format!("there is an exception for {rule} in {file} already, in line {first}"),
                );
            }
            None => all.push(exception),
        }
    }
    all
}

fn exception(reading: &mut Reading<'_>, table: &DeTable<'_>, at: usize) -> Option<Exception> {
    // All are read before any is missed, so that everything is told at once.
    let file = parsed(reading, table, "file", at, |text| {
        if text.contains('*') {
            return Err(format!("{text} names several files; an exception is for one"));
        }
        check_path(text).map(|()| text.to_owned())
    });
    let rule = parsed(reading, table, "rule", at, |text| {
        let names = Rule::OF_CODE.map(Rule::name);
        Rule::parse(text).ok_or_else(|| format!("{text} is no rule; {}", instead(text, &names)))
    });
    let reason = reading.text(table, "reason", at);
    let approved_by = reading.text(table, "approved_by", at);
    let until = day(reading, table, at);
    let test = parsed(reading, table, "test", at, TestName::parse);
    Some(Exception {
        file: file?,
        rule: rule?,
        reason: reason?.0,
        approved_by: approved_by?.0,
        until: until?,
        test: test?,
        line: reading.line(at),
    })
}

fn parsed<T>(
    reading: &mut Reading<'_>,
    table: &DeTable<'_>,
    key: &str,
    from: usize,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let (text, at) = reading.text(table, key, from)?;
    parse(&text).map_err(|told| reading.wrong(at, told)).ok()
}

/// The last day of an exception, as a day of TOML or as text.
fn day(reading: &mut Reading<'_>, table: &DeTable<'_>, from: usize) -> Option<Date> {
    let Some(value) = table.get("until") else {
        reading.wrong(from, "the exception has no until");
        return None;
    };
    let text = match value.get_ref() {
        DeValue::Datetime(moment) => moment.to_string(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    let parsed = parse_day(&text);
    if parsed.is_none() {
        reading.wrong(value.span().start, "until is no day; write it as 2026-03-31");
    }
    parsed
}

/// A day, written as 2026-03-31 and in no other way.
pub(crate) fn parse_day(text: &str) -> Option<Date> {
    text.parse::<Date>().ok().filter(|day| day.to_string() == text)
}
