//! `underlay-lint.toml`: what is infrastructure, what composes the service, and the exceptions.
//!
//! Everything that is wrong in the file is told at once, each with its line. Nothing has a default that lets more through: without
//! the file nothing is infrastructure.

mod exception;
mod pattern;
mod reading;

use std::path::Path;

use toml::de::DeTable;

use super::workspace::Workspace;
use crate::Failure;

pub(crate) use exception::{Exception, TestName, parse_day};
pub(crate) use pattern::Pattern;
pub(crate) use reading::place;

use reading::Reading;

/// The file, in the root of the workspace.
pub(crate) const FILE: &str = "underlay-lint.toml";

#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// The file they were read from, from the root.
    pub(crate) file: String,
    /// May do everything.
    pub(crate) infrastructure: Area,
    /// May open stores and look across tenants, and may reach no database.
    pub(crate) composition: Area,
    /// Database crates beside those that the lint knows.
    pub(crate) databases: Vec<String>,
    pub(crate) exceptions: Vec<Exception>,
}

/// Part of the code.
#[derive(Debug, Default)]
pub(crate) struct Area {
    pub(crate) packages: Vec<String>,
    pub(crate) paths: Vec<Pattern>,
}

impl Area {
    /// Whether a file of a package belongs to it.
    pub(crate) fn holds(&self, package: &str, file: &str) -> bool {
        self.holds_package(package) || self.paths.iter().any(|path| path.matches(file))
    }

    pub(crate) fn holds_package(&self, package: &str) -> bool {
        self.packages.iter().any(|name| name == package)
    }
}

impl Settings {
    /// Reads the file; `given` names another than the one in the root of the workspace, which may be missing.
    pub(crate) fn read(workspace: &Workspace, given: Option<&Path>) -> Result<Self, Failure> {
        let path = given.map_or_else(|| workspace.root.join(FILE), Path::to_owned);
        let file = workspace.relative(&path);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if given.is_none() && error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Failure::wrong(format!("{file} cannot be read: {error}"))),
        };
        let names: Vec<&str> = workspace.packages.iter().map(|package| package.name.as_str()).collect();
        Self::parse(&file, &text, &names).map_err(|wrong| Failure::wrong(wrong.join("\n")))
    }

    /// The settings in a text, or everything that is wrong with it.
    fn parse(file: &str, text: &str, packages: &[&str]) -> Result<Self, Vec<String>> {
        let mut reading = Reading::new(file, text);
        let mut settings = Self { file: file.to_owned(), ..Self::default() };
        match DeTable::parse(text) {
            Ok(root) => settings.take(&mut reading, root.get_ref(), packages),
            Err(error) => reading.wrong(error.span().map_or(0, |span| span.start), error.message()),
        }
        reading.finish().map(|()| settings)
    }

    fn take(&mut self, reading: &mut Reading<'_>, root: &DeTable<'_>, packages: &[&str]) {
        reading.only(root, &["infrastructure", "composition", "databases", "exception"]);
        for (name, area) in
            [("infrastructure", &mut self.infrastructure), ("composition", &mut self.composition)]
        {
            if let Some(table) = reading.table(root, name) {
                reading.only(table, &["packages", "paths"]);
                area.packages = reading.packages(table, packages);
                area.paths = reading.patterns(table);
            }
        }
        if let Some(table) = reading.table(root, "databases") {
            reading.only(table, &["crates"]);
            self.databases = reading.texts(table, "crates").into_iter().map(|(name, _)| name).collect();
        }
        self.exceptions = exception::exceptions(reading, root);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXCEPTION: &str = "[[exception]]\nfile = 'src/a.rs'\nrule = 'query-text'\nreason = 'r'\napproved_by = 'me'\n\
                             until = 2026-03-31\ntest = 'tests/a.rs::b'\n";

    fn wrong(text: &str) -> Vec<String> {
        Settings::parse(FILE, text, &["shop", "shop-store"]).unwrap_err()
    }

    #[test]
    fn a_whole_file_is_read() {
        let text = format!(
            "[infrastructure]\npackages = ['shop-store']\npaths = ['src/infrastructure/**']\n\
             [composition]\npaths = ['src/main.rs']\n[databases]\ncrates = ['own-driver']\n{EXCEPTION}"
        );
        let settings = Settings::parse(FILE, &text, &["shop", "shop-store"]).unwrap();
        assert!(settings.infrastructure.holds("shop-store", "any.rs"));
        assert!(settings.infrastructure.holds("shop", "src/infrastructure/deep/a.rs"));
        assert!(!settings.infrastructure.holds("shop", "src/main.rs"));
        assert!(settings.composition.holds("shop", "src/main.rs"));
        assert_eq!(settings.databases, ["own-driver"]);
        let [exception] = &settings.exceptions[..] else { panic!("one is there") };
        assert_eq!((exception.line, exception.until.to_string().as_str()), (8, "2026-03-31"));
        assert!(Settings::parse(FILE, "", &[]).is_ok());
    }

    #[test]
    fn each_mistake_is_told_in_its_own_way() {
        let with = |from: &str, to: &str| EXCEPTION.replace(from, to);
        for (text, told) in [
            ("exception = 1".to_owned(), "underlay-lint.toml:1: exception is no list of tables"),
            ("[infrastructure".to_owned(), "underlay-lint.toml:1: "),
            (
                "\n[infrastucture]".to_owned(),
                ":2: infrastucture is no key of this file; did you mean infrastructure?",
            ),
            ("infrastructure = []".to_owned(), "infrastructure is no table"),
            (
                "[infrastructure]\nfolders = []".to_owned(),
                ":2: folders is no key here; there are packages, paths",
            ),
            ("[infrastructure]\npackages = 'a'".to_owned(), ":2: packages is no list of texts"),
            (
                "[infrastructure]\npackages = ['shp']".to_owned(),
                "no package shp in the workspace; did you mean shop?",
            ),
            ("[infrastructure]\npaths = ['/src/**']".to_owned(), "/src/** is not a path from the root"),
            ("[infrastructure]\npaths = ['../src/**']".to_owned(), "../src/** is not a path from the root"),
            ("[infrastructure]\npaths = ['**/*.rs']".to_owned(), "**/*.rs names everything"),
            ("[infrastructure]\npaths = ['']".to_owned(), "is not a path from the root"),
            ("[databases]\ncrates = [1]".to_owned(), ":2: crates is no list of texts"),
            (with("file = 'src/a.rs'\n", ""), ":1: the exception has no file"),
            (with("src/a.rs", "src/*.rs"), ":2: src/*.rs names several files; an exception is for one"),
            (with("src/a.rs", "/src/a.rs"), ":2: /src/a.rs is not a path from the root"),
            (with("query-text", "query-txt"), ":3: query-txt is no rule; did you mean query-text?"),
            (with("query-text", "sql"), ":3: sql is no rule; there are database-dependency,"),
            (with("reason = 'r'", "reason = ' '"), ":4: reason says nothing"),
            (with("reason = 'r'", "reason = 1"), ":4: reason is no text"),
            (with("approved_by = 'me'\n", ""), ":1: the exception has no approved_by"),
            (
                with("approved_by = 'me'", "aproved_by = 'me'"),
                ":5: aproved_by is no key here; did you mean approved_by?",
            ),
            (with("2026-03-31", "'soon'"), ":6: until is no day; write it as 2026-03-31"),
            (with("2026-03-31", "2026-02-30"), ":6: "),
            (with("2026-03-31", "2026-03-31T10:00:00Z"), ":6: until is no day"),
            (
                with("tests/a.rs::b", "tests/a.rs"),
                ":7: tests/a.rs names no test; write it as tests/orders.rs::name",
            ),
            (with("tests/a.rs::b", "b"), ":7: b names no test"),
            (
                format!("{EXCEPTION}{EXCEPTION}"),
                ":8: there is an exception for query-text in src/a.rs already, in line 1",
            ),
        ] {
            let wrong = wrong(&text);
            assert!(wrong.iter().any(|line| line.contains(told)), "{text}\n{told}\n{wrong:?}");
        }
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let wrong = wrong("[infrastructure]\npackages = ['a']\n[[exception]]\nrule = 'b'\n[other]\n");
        assert_eq!(wrong.len(), 8, "{wrong:?}");
    }
}
