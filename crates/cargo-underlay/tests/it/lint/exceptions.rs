use std::fs;
use std::path::PathBuf;

use super::fixtures::{cases, settings, write, write_workspace};
use super::{lint, place, told};

const CASE: &str = "=== one\n--- src/lib.rs\nuse sqlx::PgPool;\n--- tests/orders.rs\n#[test]\nfn orders_are_stored() {}\n\
    mod deep {\n    #[tokio::test]\n    async fn orders_are_kept() {}\n    #[test]\n    #[ignore]\n    fn orders_wait() {}\n    \
    fn no_test() {}\n}\n";

const EXCEPTION: &str = "[[exception]]\nfile = 'cases/c001/src/lib.rs'\nrule = 'database-access'\n\
    reason = 'Totals are computed in the database | until views can do it'\napproved_by = 'A. Keeper'\nuntil = 2026-03-31\n\
    test = 'cases/c001/tests/orders.rs::orders_are_stored'\n";

/// A workspace with a violation, and these exceptions.
fn workspace(name: &str, exceptions: &str) -> PathBuf {
    let folder = place(name);
    let cases = cases(CASE);
    write_workspace(&folder, &cases);
    write(&folder.join("underlay-lint.toml"), &(settings(&cases) + exceptions));
    folder
}

#[test]
fn an_exception_lets_one_file_break_one_rule() {
    let folder = workspace("excepted", EXCEPTION);
    assert_eq!(told(&lint(&folder, &[])).0, 0);
    // Another file may not.
    write(&folder.join("cases/c001/src/bin/other.rs"), "use sqlx::PgPool;\nfn main() {}\n");
    let (code, out, _) = told(&lint(&folder, &[]));
    assert!(code == 1 && out.starts_with("cases/c001/src/bin/other.rs:1:"), "{out}");
    // And this one may not break another rule.
    write(&folder.join("cases/c001/src/bin/other.rs"), "fn main() {}\n");
    write(
        &folder.join("cases/c001/src/lib.rs"),
        "use sqlx::PgPool;\npub const ALL: &str = \"SELECT * FROM orders\";\n",
    );
    let (code, out, _) = told(&lint(&folder, &[]));
    assert!(code == 1 && out.starts_with("cases/c001/src/lib.rs:2:23: query-text: "), "{out}");
}

#[test]
fn an_exception_ends_after_its_last_day() {
    let folder = workspace("expired", &EXCEPTION.replace("2026-03-31", "'2026-03-30'"));
    let (code, out, _) = told(&lint(&folder, &[]));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((code, lines.len()), (1, 2), "{out}");
    assert!(lines[0].starts_with("cases/c001/src/lib.rs:1:11: database-access: "), "{out}");
    let ended = "underlay-lint.toml:6:1: exception-expired: the exception for database-access in cases/c001/src/lib.rs \
                 ended on 2026-03-30; ";
    assert!(lines[1].starts_with(ended), "{out}");
}

#[test]
fn an_exception_that_nothing_needs_fails() {
    let folder = workspace("unused", EXCEPTION);
    write(&folder.join("cases/c001/src/lib.rs"), "pub fn ready() {}\n");
    let (code, out, _) = told(&lint(&folder, &[]));
    assert!(code == 1 && out.starts_with("underlay-lint.toml:6:1: exception-unused: "), "{out}");
    // What is infrastructure needs none.
    let registered = EXCEPTION.replace("src/lib.rs", "examples/infrastructure.rs");
    let (code, out, _) = told(&lint(&workspace("needless", &registered), &[]));
    assert!(
        code == 1 && out.contains("exception-unused: nothing in cases/c001/examples/infrastructure.rs"),
        "{out}"
    );
}

#[test]
fn an_exception_names_a_test_that_is_run() {
    let with = |test: &str| EXCEPTION.replace("orders.rs::orders_are_stored", test);
    for (test, why) in [
        ("gone.rs::orders_are_stored", "and no crate of the workspace has this file"),
        ("orders.rs::orders_are_gone", "and there is no such test in the file"),
        ("orders.rs::stored", "and there is no such test in the file"),
        ("orders.rs::deep::no_test", "and there is no such test in the file"),
        ("orders.rs::deep::orders_wait", "which is ignored"),
    ] {
        let folder = workspace("untested", &with(test));
        let (code, out, _) = told(&lint(&folder, &[]));
        assert!(
            code == 1 && out.starts_with("underlay-lint.toml:6:1: exception-untested: ") && out.contains(why),
            "{out}"
        );
    }
    for test in ["orders.rs::deep::orders_are_kept", "orders.rs::orders_are_kept"] {
        assert_eq!(told(&lint(&workspace("tested", &with(test)), &[])).0, 0, "{test}");
    }
}

#[test]
fn an_exception_for_code_covers_the_dependency_that_it_needs() {
    let folder = workspace("covers", EXCEPTION);
    let example = "use {diesel as _, mongodb as _, own_driver as _, redis as _, rusqlite as _, tokio_postgres as _};\nfn main() {}\n";
    write(&folder.join("cases/c001/examples/infrastructure.rs"), example);
    assert_eq!(told(&lint(&folder, &[])).0, 0);
    let folder = workspace("covers-not", "");
    write(&folder.join("cases/c001/examples/infrastructure.rs"), example);
    let (code, out, _) = told(&lint(&folder, &[]));
    assert!(
        code == 1 && out.contains("cases/c001/Cargo.toml:6:1: database-dependency: c001 depends on"),
        "{out}"
    );
}

#[test]
fn a_wrong_file_is_told_whole_and_nothing_is_judged() {
    let wrong = format!(
        "{}[other]\n",
        EXCEPTION.replace("database-access", "database-acess").replace("until = 2026-03-31\n", "")
    );
    let (code, out, errors) = told(&lint(&workspace("wrong", &wrong), &[]));
    assert!(code == 2 && out.is_empty(), "{code} {out}");
    for part in [
        "underlay-lint.toml:6: the exception has no until",
        "underlay-lint.toml:8: database-acess is no rule; did you mean database-access?",
        "underlay-lint.toml:12: other is no key of this file",
    ] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    let gone = workspace("unmatched", "[composition]\npaths = ['cases/gone/**']\n");
    let (code, _, errors) = told(&lint(&gone, &[]));
    assert!(code == 2 && errors.contains("underlay-lint.toml:7: cases/gone/** names no file"), "{errors}");
    let (code, _, errors) = told(&lint(&gone, &["--config", "nowhere.toml"]));
    assert!(code == 2 && errors.contains("nowhere.toml cannot be read"), "{errors}");
    let (code, _, errors) = told(&lint(&gone, &["--today", "soon"]));
    assert!(code == 2 && errors.contains("2026-03-31"), "{errors}");
}

#[test]
fn the_list_in_the_documentation_is_written_and_compared() {
    let folder = workspace("page", EXCEPTION);
    let page = folder.join("exceptions.md");
    let (code, _, errors) = told(&lint(&folder, &["--check", "exceptions.md"]));
    assert!(code == 2 && errors.contains("exceptions.md cannot be read"), "{errors}");
    assert_eq!(told(&lint(&folder, &["--write", "exceptions.md"])).0, 0);
    let written = fs::read_to_string(&page).unwrap();
    let row = "| `cases/c001/src/lib.rs` | `database-access` | Totals are computed in the database \\| until views can do it \
               | A. Keeper | 2026-03-31 | `cases/c001/tests/orders.rs::orders_are_stored` |\n";
    assert!(written.contains(row), "{written}");
    assert_eq!(told(&lint(&folder, &["--check", "exceptions.md"])).0, 0);

    // What stands around the list stays; another list is told.
    let around = format!("# Ours\n\n{written}\nThe end.\n");
    fs::write(&page, around.replace("A. Keeper", "Nobody")).unwrap();
    let (code, out, _) = told(&lint(&folder, &["--check", "exceptions.md"]));
    assert!(code == 1 && out.starts_with("exceptions.md:5:1: page-differs: "), "{out}");
    assert_eq!(told(&lint(&folder, &["--write", "exceptions.md"])).0, 0);
    assert_eq!(fs::read_to_string(&page).unwrap(), around);
    fs::write(&page, "# No place for it\n").unwrap();
    for flag in ["--check", "--write"] {
        let (code, _, errors) = told(&lint(&folder, &[flag, "exceptions.md"]));
        assert!(code == 2 && errors.contains("underlay-lint: begin of the exceptions"), "{errors}");
    }
    assert_eq!(fs::read_to_string(&page).unwrap(), "# No place for it\n");
}
