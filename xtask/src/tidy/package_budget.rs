//! How many packages a first build of the reference service compiles.

use std::collections::BTreeSet;
use std::path::Path;

use super::Finding;
use crate::Result;
use crate::cargo::{cargo, output};
use crate::repository::TextFile;

const SERVICE: &str = "ledger";
const MANIFEST: &str = "examples/ledger/Cargo.toml";
/// Packages in its default build, itself included.
const PACKAGES_MAX: usize = 180;

pub(super) fn check(root: &Path, files: &[TextFile]) -> Result<Vec<Finding>> {
    let arguments =
        ["tree", "--package", SERVICE, "--edges", "normal,build", "--prefix", "none", "--format", "{p}"];
    let count = count(&output(&mut cargo(root, &arguments))?);
    let manifest = files.iter().find(|file| file.path == MANIFEST && count > PACKAGES_MAX);
    Ok(manifest.map(|file| Finding::new(file, 1, too_many(count))).into_iter().collect())
}

/// The different packages in a tree, with a package in two versions as two.
fn count(tree: &str) -> usize {
    let packages = tree.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty());
    packages.collect::<BTreeSet<_>>().len()
}

fn too_many(count: usize) -> String {
    format!("the default build has {count} packages, PACKAGES_MAX = {PACKAGES_MAX}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_counts_once_a_version() {
        assert_eq!(count("a v1.0.0\nb v1.0.0\nb v2.0.0\nb v1.0.0 (*)\n\n"), 3);
    }
}
