use std::path::Path;

use super::fixtures::{cases, write_workspace};
use super::{found, lint, place, told};
use crate::place::root;

#[test]
fn this_repository_has_nothing_to_be_found() {
    let (code, out, errors) = told(&lint(&root(), &["--check", "docs/lint.md"]));
    assert!(code == 0, "{out}{errors}");
}

/// The parts of this repository that may reach databases, or go through Underlay's doors.
const REGISTERED: &[&str] = &[
    "crates/cargo-underlay/src/lint/sql/",
    "crates/underlay-postgres/",
    "crates/underlay-runtime/",
    "crates/underlay-sqlite/",
    "crates/underlay-testkit/",
    "crates/underlay/",
    "examples/ledger/Cargo.toml",
    "examples/ledger/tests/it/postgres/",
    "harness/",
    "servers/",
    "xtask/src/tidy/",
];

#[test]
fn without_its_registration_only_what_reaches_databases_is_found() {
    let empty = place("empty").join("empty.toml");
    std::fs::write(&empty, "").unwrap();
    let found = found(&lint(&root(), &["--json", "--config", empty.to_str().unwrap()]));
    let elsewhere: Vec<_> =
        found.iter().filter(|(file, ..)| !REGISTERED.iter().any(|part| file.starts_with(part))).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    for part in REGISTERED {
        assert!(found.iter().any(|(file, ..)| file.starts_with(part)), "nothing is found in {part}");
    }
    let count = |rule: &str| found.iter().filter(|(.., own)| own == rule).count();
    for rule in ["database-access", "query-text", "every-tenant", "store-access"] {
        assert!(count(rule) > 50, "{rule}: {}", count(rule));
    }
}

#[test]
fn a_workspace_below_another_is_looked_through_by_itself() {
    let folder = place("below");
    write_workspace(&folder, &cases("=== one\n--- src/lib.rs\nuse sqlx::PgPool;\n"));
    let found = found(&lint(&folder.join("cases/c001/src"), &["--json"]));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found.iter().all(|(file, ..)| Path::new(file) == Path::new("cases/c001/src/lib.rs")));
}
