use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::pattern::Pattern;

/// Reads a file, and keeps what is wrong with it.
pub(super) struct Reading<'a> {
    file: &'a str,
    text: &'a str,
    wrong: Vec<(usize, String)>,
}

type Value<'a> = Spanned<DeValue<'a>>;

impl<'a> Reading<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, wrong: Vec::new() }
    }

    /// What was wrong, in the order of the file.
    pub(super) fn finish(mut self) -> Result<(), Vec<String>> {
        self.wrong.sort();
        let lines = self.wrong.into_iter().map(|(line, told)| format!("{}:{line}: {told}", self.file));
        let lines: Vec<String> = lines.collect();
        if lines.is_empty() { Ok(()) } else { Err(lines) }
    }

    /// Keeps that something is wrong at a byte of the file.
    pub(super) fn wrong(&mut self, at: usize, told: impl Into<String>) {
        let told = told.into();
        self.wrong.push((self.line(at), told.lines().next().unwrap_or_default().to_owned()));
    }

    pub(super) fn line(&self, at: usize) -> usize {
        place(self.text, at).0
    }

    /// Refuses keys that mean nothing.
    pub(super) fn only(&mut self, table: &DeTable<'_>, keys: &[&str]) {
        for key in table.keys() {
            let name: &str = key.get_ref();
            if !keys.contains(&name) {
                let where_ = if keys.contains(&"exception") { "of this file" } else { "here" };
                let told = format!("{name} is no key {where_}; {}", instead(name, keys));
                self.wrong(key.span().start, told);
            }
        }
    }

    /// The table of this key, where there is one.
    pub(super) fn table<'t, 'i>(&mut self, table: &'t DeTable<'i>, key: &str) -> Option<&'t DeTable<'i>> {
        let value = table.get(key)?;
        let found = value.get_ref().as_table();
        if found.is_none() {
            self.wrong(value.span().start, format!("{key} is no table; write it as [{key}]"));
        }
        found
    }

    /// The tables of a list of tables.
    pub(super) fn tables<'t, 'i>(
        &mut self,
        table: &'t DeTable<'i>,
        key: &str,
    ) -> Vec<(&'t DeTable<'i>, usize)> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let items = value.get_ref().as_array();
        let tables =
            items.map(|items| items.iter().map(|item| Some((item.get_ref().as_table()?, item.span().start))));
        let tables: Option<Vec<_>> = tables.and_then(|tables| tables.collect());
        tables.unwrap_or_else(|| {
            self.wrong(value.span().start, format!("{key} is no list of tables; write each as [[{key}]]"));
            Vec::new()
        })
    }

    /// A text that says something, and where it stands.
    pub(super) fn text(&mut self, table: &DeTable<'_>, key: &str, from: usize) -> Option<(String, usize)> {
        let Some(value) = table.get(key) else {
            self.wrong(from, format!("the exception has no {key}"));
            return None;
        };
        let at = value.span().start;
        match value.get_ref().as_str().map(str::trim) {
            None => self.wrong(at, format!("{key} is no text")),
            Some("") => self.wrong(at, format!("{key} says nothing")),
            Some(text) => return Some((text.to_owned(), at)),
        }
        None
    }

    /// The texts of a list, and where each stands.
    pub(super) fn texts(&mut self, table: &DeTable<'_>, key: &str) -> Vec<(String, usize)> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let text = |item: &Value<'_>| Some((item.get_ref().as_str()?.to_owned(), item.span().start));
        let texts =
            value.get_ref().as_array().map(|items| items.iter().map(text).collect::<Option<Vec<_>>>());
        texts.flatten().unwrap_or_else(|| {
            self.wrong(value.span().start, format!("{key} is no list of texts"));
            Vec::new()
        })
    }

    /// The packages that are named, which are in the workspace.
    pub(super) fn packages(&mut self, table: &DeTable<'_>, there: &[&str]) -> Vec<String> {
        let texts = self.texts(table, "packages");
        for (name, at) in &texts {
            if !there.contains(&name.as_str()) {
                self.wrong(
                    *at,
                    format!("there is no package {name} in the workspace; {}", instead(name, there)),
                );
            }
        }
        texts.into_iter().map(|(name, _)| name).collect()
    }

    pub(super) fn patterns(&mut self, table: &DeTable<'_>) -> Vec<Pattern> {
        let mut patterns = Vec::new();
        for (text, at) in self.texts(table, "paths") {
            match Pattern::parse(&text, self.line(at)) {
                Ok(pattern) => patterns.push(pattern),
                Err(told) => self.wrong(at, told),
            }
        }
        patterns
    }
}

/// What would be right in place of a name: the nearest one, or all there are.
pub(super) fn instead(name: &str, there: &[&str]) -> String {
    match there.iter().find(|right| is_near(name, right)) {
        Some(right) => format!("did you mean {right}?"),
        None => format!("there are {}", there.join(", ")),
    }
}

/// Whether two names differ in one letter at most, left out, put in or changed.
fn is_near(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let same = short.iter().zip(&long).take_while(|(a, b)| a == b).count();
    match long.len() - short.len() {
        0 => short.get(same + 1..).unwrap_or_default() == long.get(same + 1..).unwrap_or_default(),
        1 => short[same..] == long[same + 1..],
        _ => false,
    }
}

/// The line and the column of a byte of a text, from 1.
pub(crate) fn place(text: &str, at: usize) -> (usize, usize) {
    let before: Cow<'_, str> = String::from_utf8_lossy(&text.as_bytes()[..at.min(text.len())]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
