use std::fs;

use super::{lint, told};
use crate::place::Place;

/// What a person adds to a file in good faith, the rule that finds it, and the line.
const PLANTED: &[(&str, &str, &str)] = &[
    ("src/task.rs", "pub const ALL: &str = \"SELECT * FROM tasks\";\n", "query-text"),
    (
        "src/tasks.rs",
        "pub async fn open() {\n    let _store = underlay::Store::open(\"sqlite:a.db\").await;\n}\n",
        "store-access",
    ),
    ("src/main.rs", "pub fn pool(_: &sqlx::PgPool) {}\n", "database-access"),
];

#[test]
fn a_new_package_has_nothing_to_be_found_and_what_is_planted_is() {
    let place = Place::new("linted");
    assert!(place.new_package(&["shop"]).status.success());
    assert!(place.new_package(&["notes", "--store-only"]).status.success());
    for name in ["shop", "notes"] {
        let (code, out, errors) = told(&lint(&place.path(name), &[]));
        assert_eq!(code, 0, "{name}: {out}{errors}");
    }
    let manifest = place.path("shop/Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("[dependencies]\n", "[dependencies]\nsqlx = \"0.8\"\n")).unwrap();
    for (file, planted, rule) in PLANTED {
        let path = place.path("shop").join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}{planted}")).unwrap();
        let (code, out, _) = told(&lint(&place.path("shop"), &[]));
        let lines = text.lines().count() + 1;
        let is_there = |line: usize| {
            out.lines().any(|told| told.starts_with(&format!("{file}:{line}:")) && told.contains(rule))
        };
        assert!(code == 1 && (is_there(lines) || is_there(lines + 1)), "{file}: {out}");
        fs::write(&path, text).unwrap();
    }
    // What opens the store elsewhere than the settings say is found there too.
    fs::write(place.path("notes/underlay-lint.toml"), "").unwrap();
    let (code, out, _) = told(&lint(&place.path("notes"), &[]));
    assert!(
        code == 1
            && out.contains("src/main.rs:")
            && out.contains("store-access: `Store::open` opens a store"),
        "{out}"
    );
}

#[test]
fn the_example_of_the_documentation_is_one() {
    let place = Place::new("documented");
    assert!(place.new_package(&["shop"]).status.success());
    let write = |path: &str, text: &str| super::fixtures::write(&place.path("shop").join(path), text);
    let manifest = fs::read_to_string(place.path("shop/Cargo.toml")).unwrap();
    let manifest = manifest.replace("[workspace]\n", "");
    let with_workspace = "[workspace]\nmembers = [\"storage\"]\n";
    let dependencies = "[dependencies]\nour-driver = \"1\"\nsqlx = \"0.8\"\n";
    write("Cargo.toml", &format!("{}\n{with_workspace}", manifest.replace("[dependencies]\n", dependencies)));
    write(
        "storage/Cargo.toml",
        "[package]\nname = \"shop-storage\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
        [dependencies]\nsqlx = \"0.8\"\n",
    );
    write("storage/src/lib.rs", "pub use sqlx::PgPool;\n");
    let main = fs::read_to_string(place.path("shop/src/main.rs")).unwrap();
    write("src/main.rs", &main.replace("mod task;\n", "mod infrastructure;\nmod reports;\nmod task;\n"));
    write("src/infrastructure/mod.rs", "pub fn open(_: our_driver::Session) {}\n");
    write("src/reports.rs", "pub fn report(_: &sqlx::PgPool) {}\n");
    write("tests/reports.rs", "#[test]\nfn a_report_is_of_one_tenant() {}\n");
    write("underlay-lint.toml", include_str!("documented.toml"));
    let (code, out, errors) = told(&lint(&place.path("shop"), &[]));
    assert_eq!(code, 0, "{out}{errors}");
}
