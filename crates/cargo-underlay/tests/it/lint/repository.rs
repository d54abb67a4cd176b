//! The lint on this repository as it would be found without its registration. With it, `cargo xtask lint` finds nothing.

use std::path::Path;

use super::fixtures::{cases, write_workspace};
use super::{found, lint, place};
use crate::place::root;

/// Packages that are not registered, so that what the lint says of them means something.
const FEATURES: &[&str] =
    &["guide", "ledger", "underlay-core", "underlay-derive", "underlay-server", "workflow"];

/// Where this repository reaches databases, or goes through Underlay's doors.
const REACHING: &[&str] = &[
    "crates/underlay-postgres/src/",
    "crates/underlay-runtime/src/",
    "crates/underlay-sqlite/src/",
    "crates/underlay-testkit/src/",
    "crates/underlay/src/",
    "examples/ledger/Cargo.toml",
    "examples/ledger/tests/it/postgres/",
    "harness/src/",
    "servers/src/",
    "xtask/src/tidy/",
];

#[test]
fn without_its_registration_what_reaches_databases_is_found() {
    let settings = std::fs::read_to_string(root().join("underlay-lint.toml")).unwrap();
    for package in FEATURES {
        assert!(!settings.contains(&format!("\"{package}\"")), "{package} is registered");
    }
    let empty = place("empty").join("empty.toml");
    std::fs::write(&empty, "").unwrap();
    let found = found(&lint(&root(), &["--json", "--config", empty.to_str().unwrap()]));
    for part in REACHING {
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
