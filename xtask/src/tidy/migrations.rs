//! Rules for migrations: folders numbered without gaps, one table or one function a file, named after it;
//! and frozen. A database remembers the checksums of the migrations that made it and refuses a program that
//! has others, so a text that has been released is never touched again. `migrations.lock` beside the folders
//! holds the checksum of every file: a change of one does not pass, and a new one is written down by hand.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::Finding;
use crate::repository::TextFile;

const LOCK: &str = "migrations.lock";

pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    // Per directory of migrations, its files by their paths below it.
    let mut directories: BTreeMap<&str, BTreeMap<&str, &TextFile>> = BTreeMap::new();
    for file in files {
        if let Some((directory, path)) = split(&file.path) {
            directories.entry(directory).or_default().insert(path, file);
        }
    }
    let mut findings = Vec::new();
    for (directory, mut parts) in directories {
        let lock = parts.remove(LOCK);
        let sources = directory.trim_end_matches("migrations").to_owned() + "src/";
        let sources: Vec<&TextFile> = files
            .iter()
            .filter(|file| file.path.starts_with(&sources) && file.path.ends_with(".rs"))
            .collect();
        let mut last = 0;
        for (path, file) in &parts {
            findings.extend(check_name(file, path, &mut last));
            findings.extend(check_content(file));
            if !sources.iter().any(|source| names(&source.text, path)) {
                findings.push(Finding::new(
                    file,
                    1,
                    "no program applies this: name it in the list of migrations",
                ));
            }
        }
        match (lock, parts.values().next()) {
            (Some(lock), _) => findings.extend(check_lock(lock, &parts)),
            (None, Some(first)) => {
                let rule =
                    format!("migrations are frozen: {directory}/{LOCK} holds the checksum of each file");
                findings.push(Finding::new(first, 1, rule));
            }
            (None, None) => {}
        }
    }
    findings
}

/// A path of a migration's file, or of the lock, as the directory of migrations and what is below it.
fn split(path: &str) -> Option<(&str, &str)> {
    let at = path.find("/migrations/")? + "/migrations".len();
    let (directory, below) = (&path[..at], &path[at + 1..]);
    (below.ends_with(".sql") || below == LOCK).then_some((directory, below))
}

/// `last` is the number of the folder before.
fn check_name(file: &TextFile, path: &str, last: &mut u32) -> Option<Finding> {
    let number = |folder: &str| folder.get(..5)?.strip_suffix('_')?.parse::<u32>().ok();
    let folder = path.split_once('/').and_then(|(folder, name)| (!name.contains('/')).then_some(folder));
    match folder.and_then(number) {
        Some(number) if number == *last || number == *last + 1 => {
            *last = number;
            None
        }
        _ => {
            let next = *last + 1;
            let rule = format!("migrations are folders, numbered without gaps: {next:04}_<what>/<part>.sql");
            Some(Finding::new(file, 1, rule))
        }
    }
}

/// What makes a table, a function or a procedure makes one, and is named after it.
fn check_content(file: &TextFile) -> Vec<Finding> {
    let made = |line: &str| {
        let mut words = line.strip_prefix("CREATE ")?.split([' ', '(']);
        let kind = words.next()?;
        let name = words.next()?;
        ["TABLE", "FUNCTION", "PROCEDURE"]
            .contains(&kind)
            .then(|| name.rsplit('.').next().unwrap_or(name).to_owned())
    };
    let mut made = file.lines().filter_map(|(number, line)| Some((number, made(line)?)));
    let first = made.next();
    let mut findings = Vec::new();
    if let Some((number, name)) = first.filter(|(_, name)| file.name() != format!("{name}.sql")) {
        findings.push(Finding::new(file, number, format!("a file is named after what it makes: {name}.sql")));
    }
    findings.extend(made.map(|(number, name)| {
        Finding::new(file, number, format!("one table or one function a file: `{name}` has its own"))
    }));
    findings
}

/// Whether a source includes a file of a migration.
fn names(source: &str, path: &str) -> bool {
    source.contains(&format!("migrations/{path}\")"))
}

fn check_lock(lock: &TextFile, parts: &BTreeMap<&str, &TextFile>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut locked: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for (number, line) in lock.lines().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        match line.split_once("  ") {
            Some((sum, path)) if locked.insert(path, (number, sum)).is_none() => {}
            _ => findings.push(Finding::new(
                lock,
                number,
                "a line is `<checksum>  <path>`, once for each path",
            )),
        }
    }
    for (path, file) in parts {
        let sum = checksum(&file.text);
        match locked.remove(path) {
            Some((_, frozen)) if frozen == sum => {}
            Some(_) => findings.push(Finding::new(
                file,
                1,
                "this migration is frozen: databases have applied it and refuse another text; take the change \
                 back and add a migration",
            )),
            None => {
                let rule = format!("is not in {LOCK}; once it is final, add the line `{sum}  {path}`");
                findings.push(Finding::new(file, 1, rule));
            }
        }
    }
    findings.extend(locked.into_iter().map(|(path, (number, _))| {
        Finding::new(lock, number, format!("{path} is gone, and databases have applied it; bring it back"))
    }));
    findings
}

/// Of the text with plain line ends, however it was checked out.
fn checksum(text: &str) -> String {
    Sha256::digest(text.replace("\r\n", "\n")).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: (&str, &str) = ("a/src/migrations.rs", "include_str!(\"../migrations/0001_log/events.sql\")");
    const EVENTS: &str = "-- why\nCREATE TABLE {schema}.events (a b);\n\nCREATE INDEX i ON events (a);\n";

    fn found(files: &[(&str, &str)]) -> Vec<(String, String)> {
        let files: Vec<TextFile> = files
            .iter()
            .map(|(path, text)| TextFile { path: (*path).to_owned(), text: (*text).to_owned() })
            .collect();
        check(&files).into_iter().map(|finding| (finding.path, finding.rule)).collect()
    }

    fn locked(parts: &[(&str, &str)]) -> String {
        let lines: Vec<String> =
            parts.iter().map(|(path, text)| format!("{}  {path}\n", checksum(text))).collect();
        format!("# why\n{}", lines.concat())
    }

    #[test]
    fn a_migration_that_is_locked_is_not_changed_and_does_not_go() {
        let lock = locked(&[("0001_log/events.sql", EVENTS)]);
        let lock = ("a/migrations/migrations.lock", lock.as_str());
        assert_eq!(found(&[LIST, ("a/migrations/0001_log/events.sql", EVENTS), lock]), []);
        let windows = EVENTS.replace('\n', "\r\n");
        assert_eq!(found(&[LIST, ("a/migrations/0001_log/events.sql", &windows), lock]), []);
        let changed = EVENTS.replace("why", "what");
        let findings = found(&[LIST, ("a/migrations/0001_log/events.sql", &changed), lock]);
        assert!(matches!(&findings[..], [(_, rule)] if rule.contains("is frozen")), "{findings:?}");
        let findings = found(&[LIST, lock]);
        assert!(matches!(&findings[..], [(_, rule)] if rule.contains("is gone")), "{findings:?}");
    }

    #[test]
    fn a_migration_that_is_new_says_what_to_add_and_one_without_a_lock_does_not_pass() {
        let path = "a/migrations/0001_log/events.sql";
        let findings = found(&[LIST, (path, EVENTS), ("a/migrations/migrations.lock", "")]);
        let line = format!("{}  0001_log/events.sql", checksum(EVENTS));
        assert!(matches!(&findings[..], [(_, rule)] if rule.contains(&line)), "{findings:?}");
        let findings = found(&[LIST, (path, EVENTS)]);
        assert!(
            matches!(&findings[..], [(_, rule)] if rule.contains("migrations.lock holds")),
            "{findings:?}"
        );
    }

    #[test]
    fn folders_have_no_gap_and_a_program_applies_each_file() {
        for path in ["0002_log/events.sql", "events.sql", "log/events.sql", "0001_log/deep/events.sql"] {
            let lock = locked(&[(path, EVENTS)]);
            let lock = ("a/migrations/migrations.lock", lock.as_str());
            let findings = found(&[LIST, (&format!("a/migrations/{path}"), EVENTS), lock]);
            assert!(findings.iter().any(|(_, rule)| rule.contains("0001_<what>")), "{path}: {findings:?}");
        }
        let lock = locked(&[("0001_log/events.sql", EVENTS)]);
        let lock = ("a/migrations/migrations.lock", lock.as_str());
        let findings = found(&[("a/migrations/0001_log/events.sql", EVENTS), lock]);
        assert!(matches!(&findings[..], [(_, rule)] if rule.contains("no program")), "{findings:?}");
    }

    #[test]
    fn a_file_makes_one_thing_and_is_named_after_it() {
        for (text, part) in [
            ("CREATE FUNCTION {schema}.append(a b) AS $$ $$;\n", "append.sql"),
            (
                "CREATE TABLE events (a b);\nCREATE PROCEDURE {schema}.store() AS $$ $$;\n",
                "`store` has its own",
            ),
        ] {
            let lock = locked(&[("0001_log/events.sql", text)]);
            let lock = ("a/migrations/migrations.lock", lock.as_str());
            let findings = found(&[LIST, ("a/migrations/0001_log/events.sql", text), lock]);
            assert!(matches!(&findings[..], [(_, rule)] if rule.contains(part)), "{findings:?}");
        }
    }
}
