//! `cargo underlay lint`, on workspaces with planted violations, with code that only looks like them, and on this repository.

mod exceptions;
mod fixtures;
mod repository;
mod template;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fixtures::{Case, Marked, cases, write_workspace};

/// The day on which tests judge.
const TODAY: &str = "2026-03-31";

/// Runs the lint in a folder. It ends with an exit code, whatever is found.
fn lint(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-underlay"));
    command.args(["underlay", "lint"]).args(arguments).current_dir(folder);
    if !arguments.contains(&"--today") {
        command.args(["--today", TODAY]);
    }
    command.stdin(Stdio::null()).output().unwrap()
}

/// How it ended, what it printed, and what it said of that.
fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// What is found, as the JSON says it.
fn found(output: &Output) -> BTreeSet<Marked> {
    let (_, out, errors) = told(output);
    let findings: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{errors}"));
    let findings = findings["findings"].as_array().unwrap().iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let mark = |one: &serde_json::Value| {
        (text(&one["file"]), usize::try_from(one["line"].as_u64().unwrap()).unwrap(), text(&one["rule"]))
    };
    findings.map(mark).collect()
}

/// An empty folder below the target directory.
fn place(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lint").join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The differences between what is marked in the cases and what is found, by the names of the cases.
fn differences(cases: &[Case], found: &BTreeSet<Marked>) -> Vec<String> {
    let of = |file: &str| {
        let case = cases.iter().find(|case| file.starts_with(&format!("{}/", case.folder)));
        case.map_or("no case", |case| case.name.as_str())
    };
    let marked: BTreeSet<Marked> = cases.iter().flat_map(Case::marked).collect();
    let line =
        |what: &str, (file, line, rule): &Marked| format!("{what} in {:?}: {file}:{line}: {rule}", of(file));
    let missed = marked.difference(found).map(|mark| line("not found", mark));
    let more = found.difference(&marked).map(|mark| line("found", mark));
    missed.chain(more).collect()
}

#[test]
fn planted_violations_are_found_where_they_stand() {
    let cases = cases(include_str!("planted.txt"));
    assert!(cases.len() >= 30);
    for case in &cases {
        assert!(!case.marked().is_empty(), "nothing is marked in {:?}", case.name);
    }
    let folder = place("planted");
    write_workspace(&folder, &cases);
    let output = lint(&folder, &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let differences = differences(&cases, &found(&output));
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn code_that_only_looks_like_it_is_not_found() {
    let cases = cases(include_str!("harmless.txt"));
    assert!(cases.len() >= 30);
    assert!(cases.iter().all(|case| case.marked().is_empty()));
    let folder = place("harmless");
    write_workspace(&folder, &cases);
    let output = lint(&folder, &["--json"]);
    let differences = differences(&cases, &found(&output));
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_finding_says_where_it_is_and_what_to_use() {
    let folder = place("text");
    write_workspace(&folder, &cases("=== one\n--- src/lib.rs\n\n    use sqlx::PgPool;\n"));
    let (code, out, errors) = told(&lint(&folder, &[]));
    let line = "cases/c001/src/lib.rs:2:15: database-access: names `sqlx::PgPool` of the database crate sqlx; use a \
                repository, a view or the engine; what they cannot do belongs in infrastructure\n";
    assert_eq!((code, out.as_str(), errors.as_str()), (1, line, "error: 1 place breaks the rules\n"));
}

#[test]
fn without_a_file_nothing_is_infrastructure() {
    let folder = place("bare");
    write_workspace(&folder, &cases("=== one\n--- src/lib.rs\npub fn ready() {}\n"));
    std::fs::remove_file(folder.join("underlay-lint.toml")).unwrap();
    let found = found(&lint(&folder, &["--json"]));
    assert!(found.iter().any(|(file, _, rule)| file == "kit/src/lib.rs" && rule == "database-access"));
    assert!(found.iter().any(|(file, _, rule)| file == "kit/Cargo.toml" && rule == "database-dependency"));
    assert!(found.iter().any(|(file, ..)| file == "cases/c001/examples/infrastructure.rs"));
}

#[test]
fn what_cannot_be_read_is_told_and_nothing_is_judged() {
    for (name, text, part) in [
        (
            "syntax",
            "pub fn ready() {\n    let = ;\n}\n",
            "cases/c001/src/lib.rs:2:9: is no Rust that the lint can read",
        ),
        ("missing", "\nmod gone;\n", "cases/c001/src/lib.rs:2: there is no file for the module gone"),
        ("circle", "include!(\"lib.rs\");\n", "includes itself"),
    ] {
        let folder = place(name);
        write_workspace(&folder, &cases(&format!("=== one\n--- src/lib.rs\n{text}")));
        let (code, out, errors) = told(&lint(&folder, &[]));
        assert!(code == 2 && out.is_empty() && errors.contains(part), "{name}: {code} {out} {errors}");
    }
    let folder = place("nothing");
    std::fs::write(folder.join("Cargo.toml"), "no manifest").unwrap();
    let (code, _, errors) = told(&lint(&folder, &[]));
    assert!(code == 2 && errors.contains("`cargo metadata` failed"), "{code} {errors}");
}
