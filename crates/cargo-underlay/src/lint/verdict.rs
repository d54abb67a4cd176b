//! What is found, less what may be: by what the settings call infrastructure or composition, and by exceptions.

use std::collections::{BTreeSet, HashSet};

use jiff::civil::Date;

use super::dependencies::unneeded;
use super::names::World;
use super::rule::{Finding, Rule};
use super::search::{Found, Place, Use};
use super::settings::{Exception, Settings, TestName};
use super::workspace::Workspace;

/// What is wrong on this day, in order.
pub(crate) fn verdict(
    workspace: &Workspace,
    world: &World,
    found: Found,
    settings: &Settings,
    today: Date,
) -> Vec<Finding> {
    let holds: Vec<&Exception> = settings.exceptions.iter().filter(|own| today <= own.until).collect();
    let excepts = |file: &str, rule: Rule| holds.iter().find(|own| own.file == file && own.rule == rule);
    let needed: HashSet<&Use> = found
        .uses
        .iter()
        .filter(|used| {
            settings.infrastructure.holds(&used.package, &used.file)
                || excepts(&used.file, Rule::DatabaseAccess).is_some()
        })
        .collect();
    let dependencies = unneeded(workspace, world, &needed);
    let mut used = HashSet::new();
    let mut wrong = BTreeSet::new();
    for Place { finding, package } in found.places.into_iter().chain(dependencies) {
        let Finding { file, rule, .. } = &finding;
        let is_composed = rule.spares_composition() && settings.composition.holds(&package, file);
        if settings.infrastructure.holds(&package, file) || is_composed {
            continue;
        }
        match excepts(file, *rule) {
            Some(exception) => {
                used.insert(exception.line);
            }
            None => {
                wrong.insert(finding);
            }
        }
    }
    wrong.extend(
        settings.exceptions.iter().flat_map(|own| of_exception(own, world, &used, &settings.file, today)),
    );
    wrong.into_iter().collect()
}

/// What is wrong with an exception itself.
fn of_exception(
    exception: &Exception,
    world: &World,
    used: &HashSet<usize>,
    file: &str,
    today: Date,
) -> Vec<Finding> {
    let Exception { file: of, rule, until, test, line, .. } = exception;
    let finding =
        |rule: Rule, what: String| Finding { file: file.to_owned(), line: *line, column: 1, rule, what };
    let mut wrong = Vec::new();
    if today > *until {
        wrong.push(finding(
            Rule::ExceptionExpired,
            format!("the exception for {rule} in {of} ended on {until}"),
        ));
    } else if !used.contains(line) {
        wrong.push(finding(Rule::ExceptionUnused, format!("nothing in {of} needs the exception for {rule}")));
    }
    if let Err(told) = runs(world, test) {
        let what = format!("the exception for {rule} in {of} names {test}, {told}");
        wrong.push(finding(Rule::ExceptionUntested, what));
    }
    wrong
}

/// Whether a test is there, and is run.
fn runs(world: &World, test: &TestName) -> Result<(), &'static str> {
    let mut files = world.files.iter().filter(|file| file.path == test.file).peekable();
    if files.peek().is_none() {
        return Err("and no crate of the workspace has this file");
    }
    let is_named = |name: &str| {
        name == test.name
            || name.strip_suffix(test.name.as_str()).is_some_and(|before| before.ends_with("::"))
    };
    match files.flat_map(|file| &file.tests).find(|own| is_named(&own.name)) {
        None => Err("and there is no such test in the file"),
        Some(own) if own.is_ignored => Err("which is ignored"),
        Some(_) => Ok(()),
    }
}

/// The registered paths that name no file any more, each as it is told.
pub(crate) fn unmatched(world: &World, settings: &Settings) -> Vec<String> {
    let paths = settings.infrastructure.paths.iter().chain(&settings.composition.paths);
    let is_unmatched =
        |file: &super::names::File, pattern: &super::settings::Pattern| pattern.matches(&file.path);
    let gone = paths.filter(|pattern| !world.files.iter().any(|file| is_unmatched(file, pattern)));
    let told = |pattern: &super::settings::Pattern| {
        format!(
            "{}:{}: {} names no file of the workspace; remove it",
            settings.file,
            pattern.line,
            pattern.as_str()
        )
    };
    gone.map(told).collect()
}
