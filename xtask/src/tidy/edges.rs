//! The tables of ARCHITECTURE.md against `cargo metadata`: which crate may need which, and what the
//! core may need from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::Finding;
use super::markdown::{code_names, table};
use crate::Result;
use crate::cargo::{cargo, output};
use crate::repository::TextFile;

const DOCUMENT: &str = "ARCHITECTURE.md";
const EDGES_HEADER: &[&str] = &["Crate", "Needs", "Tests also need"];
const OUTSIDE_HEADER: &[&str] = &["Crate from outside", "Features", "For"];
/// The crate the second table is about.
const CORE: &str = "underlay-core";

pub(super) fn check(root: &Path, files: &[TextFile]) -> Result<Vec<Finding>> {
    let arguments = ["metadata", "--no-deps", "--format-version", "1"];
    let packages = packages(&output(&mut cargo(root, &arguments))?, root)?;
    Ok(compare(&packages, files))
}

/// A crate of the workspace.
#[derive(Debug)]
struct Package {
    name: String,
    /// The path of its manifest, from the root.
    manifest: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug)]
struct Dependency {
    name: String,
    for_tests: bool,
    features: Vec<String>,
    default_features: bool,
    /// Whether it is a crate of the workspace.
    inside: bool,
}

fn packages(metadata: &str, root: &Path) -> Result<Vec<Package>> {
    let metadata: Value = serde_json::from_str(metadata)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut packages = Vec::new();
    for package in list(&metadata["packages"]) {
        let manifest = text(&package["manifest_path"]);
        let manifest = Path::new(&manifest).strip_prefix(root)?.to_string_lossy().replace('\\', "/");
        let dependencies = list(&package["dependencies"]);
        let dependencies = dependencies.iter().map(|dependency| Dependency {
            name: text(&dependency["name"]),
            for_tests: dependency["kind"] == "dev",
            features: list(&dependency["features"]).iter().map(text).collect(),
            default_features: dependency["uses_default_features"] == true,
            inside: dependency["path"].is_string(),
        });
        let dependencies = dependencies.collect();
        packages.push(Package { name: text(&package["name"]), manifest, dependencies });
    }
    Ok(packages)
}

fn compare(packages: &[Package], files: &[TextFile]) -> Vec<Finding> {
    let Some(document) = files.iter().find(|file| file.path == DOCUMENT) else {
        let rule = "is missing; it holds the table of crates";
        return vec![Finding { path: DOCUMENT.to_owned(), line: 1, rule: rule.to_owned() }];
    };
    let mut findings = Vec::new();
    match table(document, EDGES_HEADER) {
        Some(rows) => {
            let rows: BTreeMap<String, Edges> =
                rows.iter().filter_map(|row| edges(row.line, &row.cells)).collect();
            findings.extend(compare_edges(packages, &rows, document, files));
        }
        None => {
            findings.push(Finding::new(document, 1, format!("has no table {}", EDGES_HEADER.join(" | "))))
        }
    }
    match table(document, OUTSIDE_HEADER) {
        Some(rows) => {
            let allowed: BTreeMap<String, BTreeSet<String>> = rows
                .iter()
                .filter_map(|row| match row.cells.as_slice() {
                    [name, features, ..] => {
                        let name = code_names(name).first().map(|name| (*name).to_owned())?;
                        Some((name, code_names(features).into_iter().map(str::to_owned).collect()))
                    }
                    _ => None,
                })
                .collect();
            findings.extend(compare_outside(packages, &allowed, files));
        }
        None => {
            findings.push(Finding::new(document, 1, format!("has no table {}", OUTSIDE_HEADER.join(" | "))))
        }
    }
    findings
}

/// A row of the first table.
#[derive(Debug)]
struct Edges {
    line: usize,
    needs: BTreeSet<String>,
    tests_need: BTreeSet<String>,
}

fn edges(line: usize, cells: &[String]) -> Option<(String, Edges)> {
    let [name, needs, tests_need] = cells else { return None };
    let names = |cell: &str| code_names(cell).into_iter().map(str::to_owned).collect();
    let name = code_names(name).first().map(|name| (*name).to_owned())?;
    Some((name, Edges { line, needs: names(needs), tests_need: names(tests_need) }))
}

fn compare_edges(
    packages: &[Package],
    rows: &BTreeMap<String, Edges>,
    document: &TextFile,
    files: &[TextFile],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let Some(row) = rows.get(&package.name) else {
            findings.push(at_manifest(
                files,
                package,
                "name",
                format!("{DOCUMENT} has no row for this crate"),
            ));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| dependency.inside) {
            let allowed = row.needs.contains(&dependency.name)
                || (dependency.for_tests && row.tests_need.contains(&dependency.name));
            if !allowed {
                let what = if dependency.for_tests { "tests may not need" } else { "may not need" };
                let rule =
                    format!("{} {what} {}, says {DOCUMENT}:{}", package.name, dependency.name, row.line);
                findings.push(at_manifest(files, package, &dependency.name, rule));
            }
        }
    }
    for (name, row) in rows {
        let known = |name: &str| packages.iter().any(|package| package.name == name);
        for named in std::iter::once(name).chain(&row.needs).chain(&row.tests_need) {
            if !known(named) {
                findings.push(Finding::new(
                    document,
                    row.line,
                    format!("{named} is no crate of the workspace"),
                ));
            }
        }
    }
    findings
}

fn compare_outside(
    packages: &[Package],
    allowed: &BTreeMap<String, BTreeSet<String>>,
    files: &[TextFile],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages.iter().filter(|package| package.name == CORE) {
        let outside =
            package.dependencies.iter().filter(|dependency| !dependency.inside && !dependency.for_tests);
        for dependency in outside {
            let Some(features) = allowed.get(&dependency.name) else {
                let rule = format!("{CORE} may not need {}, says {DOCUMENT}", dependency.name);
                findings.push(at_manifest(files, package, &dependency.name, rule));
                continue;
            };
            if features.is_empty() {
                continue;
            }
            let on = dependency.features.iter().map(String::as_str);
            for feature in on.chain(dependency.default_features.then_some("default")) {
                if !features.contains(feature) {
                    let rule =
                        format!("{CORE} may not turn on {feature} of {}, says {DOCUMENT}", dependency.name);
                    findings.push(at_manifest(files, package, &dependency.name, rule));
                }
            }
        }
    }
    findings
}

/// A finding at the line of a manifest that sets `key`.
fn at_manifest(files: &[TextFile], package: &Package, key: &str, rule: String) -> Finding {
    let file = files.iter().find(|file| file.path == package.manifest);
    let line = file.map_or(1, |file| file.line_setting(key));
    Finding { path: package.manifest.clone(), line, rule }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLES: &str = "\
| Crate | Needs | Tests also need |
|---|---|---|
| `underlay-core` | nothing | nothing |
| `adapter` | `underlay-core` | `kit` |
| `kit` | `underlay-core` | nothing |

| Crate from outside | Features | For |
|---|---|---|
| `tokio` | `sync` | signals |
| `serde` | any | JSON |
";

    /// A dependency of `package`, as `cargo metadata` tells it.
    struct Told(&'static str, &'static str, Value);

    fn found(tables: &str, told: &[Told]) -> Vec<String> {
        let root = Path::new("root");
        let packages_told: Vec<Value> = ["underlay-core", "adapter", "kit"]
            .into_iter()
            .map(|name| {
                let of = |told: &&Told| told.0 == name;
                let dependencies: Vec<Value> = told
                    .iter()
                    .filter(of)
                    .map(|Told(_, dependency, more)| {
                        let mut all = serde_json::json!({
                            "name": dependency, "kind": null, "features": [], "uses_default_features": true,
                        });
                        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                        all
                    })
                    .collect();
                let manifest = root.join("crates").join(name).join("Cargo.toml");
                serde_json::json!({"name": name, "manifest_path": manifest, "dependencies": dependencies})
            })
            .collect();
        let packages = packages(&serde_json::json!({ "packages": packages_told }).to_string(), root).unwrap();
        let manifest = "[package]\nname = \"a\"\n\n[dependencies]\nadapter.workspace = true\n";
        let files = [
            TextFile { path: DOCUMENT.to_owned(), text: tables.to_owned() },
            TextFile { path: "crates/underlay-core/Cargo.toml".to_owned(), text: manifest.to_owned() },
        ];
        compare(&packages, &files).iter().map(Finding::to_string).collect()
    }

    fn inside(kind: Value) -> Value {
        serde_json::json!({"path": "somewhere", "kind": kind})
    }

    #[test]
    fn allowed_edges_pass() {
        let told = [
            Told("adapter", "underlay-core", inside(Value::Null)),
            Told("adapter", "kit", inside("dev".into())),
            Told("kit", "underlay-core", inside(Value::Null)),
            Told("kit", "anything", serde_json::json!({})),
            Told("underlay-core", "serde", serde_json::json!({"features": ["derive"]})),
            Told(
                "underlay-core",
                "tokio",
                serde_json::json!({"features": ["sync"], "uses_default_features": false}),
            ),
            Told("underlay-core", "proptest", serde_json::json!({"kind": "dev"})),
        ];
        assert_eq!(found(TABLES, &told), [""; 0]);
    }

    #[test]
    fn an_edge_that_is_not_in_the_table_is_found_in_the_manifest() {
        let findings = found(TABLES, &[Told("underlay-core", "adapter", inside(Value::Null))]);
        let line =
            "crates/underlay-core/Cargo.toml:5: underlay-core may not need adapter, says ARCHITECTURE.md:3";
        assert_eq!(findings, [line]);
    }

    #[test]
    fn an_edge_for_tests_is_for_tests_alone() {
        let findings = found(TABLES, &[Told("adapter", "kit", inside(Value::Null))]);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].contains("adapter may not need kit"), "{findings:?}");
    }

    #[test]
    fn the_core_needs_nothing_that_is_not_listed() {
        let told = [
            Told("underlay-core", "rusqlite", serde_json::json!({})),
            Told("underlay-core", "tokio", serde_json::json!({"features": ["net"]})),
        ];
        let findings = found(TABLES, &told).join("\n");
        for part in
            ["may not need rusqlite", "may not turn on net of tokio", "may not turn on default of tokio"]
        {
            assert!(findings.contains(part), "{part}: {findings}");
        }
    }

    #[test]
    fn rows_and_crates_belong_together() {
        let without_kit = TABLES.replace("| `kit` | `underlay-core` | nothing |\n", "");
        assert!(
            found(&without_kit, &[])
                .join("\n")
                .contains("crates/kit/Cargo.toml:1: ARCHITECTURE.md has no row")
        );
        let with_more = TABLES.replace("| `kit` |", "| `gone` |");
        assert!(found(&with_more, &[]).join("\n").contains("ARCHITECTURE.md:5: gone is no crate"));
        assert!(found("", &[]).join("\n").contains("has no table Crate | Needs | Tests also need"));
    }
}
