use std::collections::HashMap;

use super::super::workspace::{Package, TargetKind, Workspace, krate};
use super::{Crate, World};

impl World {
    /// Reads every file of the packages of a workspace; `databases` are crates that the lint does not know.
    pub(crate) fn read(workspace: &Workspace, databases: &[String]) -> Self {
        let root = workspace.root.clone();
        let mut world = Self { databases: databases.to_vec(), root, ..Self::default() };
        let libraries = libraries(workspace);
        for package in &workspace.packages {
            for target in &package.targets {
                let number = world.crates.len();
                let root = world.add_module(number, None, "", target.kind == TargetKind::Test);
                let mut externs = externs(package, &libraries);
                if target.kind == TargetKind::Library {
                    world.libraries.insert(package.name.clone(), number);
                } else if let Some(own) = libraries.get(package.name.as_str()) {
                    externs.insert((*own).to_owned(), package.name.clone());
                }
                let folder = package.folder().to_owned();
                world.crates.push(Crate { package: package.name.clone(), folder, root, externs });
                world.follow_root(workspace, root, &target.source);
            }
        }
        world.enter_all_methods();
        world
    }

    fn enter_all_methods(&mut self) {
        for module in 0..self.modules.len() {
            let parts = std::mem::take(&mut self.modules[module].parts);
            for item in parts.iter().flat_map(|(_, items)| items) {
                self.enter_methods(module, item);
            }
            self.modules[module].parts = parts;
        }
    }

    /// The package that a name of a crate means in the code of a crate.
    pub(super) fn extern_package(&self, krate: usize, name: &str) -> Option<&str> {
        self.crates[krate].externs.get(name).map(String::as_str)
    }
}

/// The name of the library of each package.
fn libraries(workspace: &Workspace) -> HashMap<&str, &str> {
    let library =
        |package: &'_ Package| package.targets.iter().position(|target| target.kind == TargetKind::Library);
    let named = workspace.packages.iter().filter_map(|package| {
        Some((package.name.as_str(), package.targets[library(package)?].name.as_str()))
    });
    named.collect()
}

/// What the code of a package can name, of its dependencies.
fn externs(package: &Package, libraries: &HashMap<&str, &str>) -> HashMap<String, String> {
    let named = package.dependencies.iter().map(|dependency| {
        let own = libraries.get(dependency.package.as_str()).filter(|_| !dependency.is_renamed);
        let name = own.map_or_else(|| krate(&dependency.key), |name| (*name).to_owned());
        (name, dependency.package.clone())
    });
    named.collect()
}
