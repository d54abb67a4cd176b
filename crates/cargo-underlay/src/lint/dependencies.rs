//! Dependencies on database crates, in the manifests.

use std::collections::HashSet;

use toml::de::{DeTable, DeValue};

use super::names::World;
use super::rule::{Finding, Rule};
use super::search::{Place, Use};
use super::settings::place;
use super::workspace::{Dependency, Package, Workspace};

/// The dependencies on database crates that none of these uses needs.
pub(crate) fn unneeded(workspace: &Workspace, world: &World, needed: &HashSet<&Use>) -> Vec<Place> {
    let mut places = Vec::new();
    for package in &workspace.packages {
        let is_needed = |dependency: &&Dependency| {
            needed.iter().any(|used| used.package == package.name && used.database == dependency.package)
        };
        let databases = package.dependencies.iter().filter(|own| world.is_database(&own.package));
        let unneeded: Vec<&Dependency> = databases.filter(|own| !is_needed(own)).collect();
        if !unneeded.is_empty() {
            places.extend(in_manifest(workspace, package, &unneeded));
        }
    }
    places
}

fn in_manifest(workspace: &Workspace, package: &Package, unneeded: &[&Dependency]) -> Vec<Place> {
    let text = std::fs::read_to_string(&package.manifest).unwrap_or_default();
    let keys =
        DeTable::parse(&text).map(|manifest| dependency_keys(manifest.get_ref(), 0)).unwrap_or_default();
    let mut places = Vec::new();
    for Dependency { package: database, key, .. } in unneeded {
        let at: Vec<usize> = keys.iter().filter(|(name, _)| name == key).map(|(_, at)| *at).collect();
        // A manifest that cargo has read and that is not found here again is told at its beginning.
        for at in if at.is_empty() { vec![0] } else { at } {
            let (line, column) = place(&text, at);
            let renamed = if key == database { String::new() } else { format!(" as `{key}`") };
            let what = format!("{} depends on the database crate {database}{renamed}", package.name);
            let file = workspace.relative(&package.manifest);
            let finding = Finding { file, line, column, rule: Rule::DatabaseDependency, what };
            places.push(Place { finding, package: package.name.clone() });
        }
    }
    places
}

/// The names in all tables of dependencies, with their places.
fn dependency_keys(table: &DeTable<'_>, depth: usize) -> Vec<(String, usize)> {
    let mut keys = Vec::new();
    for (key, value) in table {
        let DeValue::Table(inner) = value.get_ref() else { continue };
        let name: &str = key.get_ref();
        match name {
            "dependencies" | "dev-dependencies" | "build-dependencies" | "dev_dependencies"
            | "build_dependencies" => {
                keys.extend(inner.keys().map(|key| (key.get_ref().to_string(), key.span().start)));
            }
            // `[target.'cfg(unix)'.dependencies]`
            "target" if depth == 0 => keys.extend(dependency_keys(inner, 1)),
            _ if depth == 1 => keys.extend(dependency_keys(inner, 2)),
            _ => {}
        }
    }
    keys
}
