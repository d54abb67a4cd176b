//! `cargo xtask tidy`: what the compiler does not check. Runs as a test of this crate, too.

mod code;
mod edges;
mod folders;
mod links;
mod lists;
mod machine_paths;
mod markdown;
mod migrations;
mod package_budget;
mod snippets;
mod sources;
mod sql;
mod words;

use std::fmt;
use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::Result;
use crate::repository::{TextFile, root, text_files};

pub(crate) fn command() -> Command {
    let fix = Arg::new("fix").long("fix").action(ArgAction::SetTrue);
    Command::new("tidy")
        .about("Checks what the compiler does not: crate edges, names, time, SQL, links, code in documents")
        .arg(fix.help("First write the code in the documents anew from its sources"))
}

pub(crate) fn run(arguments: &ArgMatches) -> Result<()> {
    let root = root()?;
    if arguments.get_flag("fix") {
        snippets::fix(&root)?;
    }
    check(&root)
}

/// Prints everything that breaks a rule.
///
/// # Errors
/// Where there is any.
pub(crate) fn check(root: &Path) -> Result<()> {
    let findings = findings(root)?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => Err(format!("{count} places break the repository's rules").into()),
    }
}

/// A place that breaks a rule, with the rule.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// From 1.
    line: usize,
    rule: String,
}

impl Finding {
    fn new(file: &TextFile, line: usize, rule: impl Into<String>) -> Self {
        Self { path: file.path.clone(), line, rule: rule.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.rule)
    }
}

fn findings(root: &Path) -> Result<Vec<Finding>> {
    let files = text_files(root)?;
    let mut findings = edges::check(root, &files)?;
    findings.extend(folders::check(&files));
    findings.extend(package_budget::check(root, &files)?);
    findings.extend(sources::check(&files));
    findings.extend(sql::check(&files));
    findings.extend(migrations::check(&files));
    findings.extend(links::check(root, &files));
    findings.extend(machine_paths::check(&files));
    findings.extend(snippets::check(&files));
    findings.extend(lists::check(&files));
    findings.extend(words::check(&files));
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let findings = findings(&root().unwrap()).unwrap();
        let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
        assert!(lines.is_empty(), "\n{}", lines.join("\n"));
    }
}
