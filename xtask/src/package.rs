//! `cargo xtask package`: every crate that is published can be packed, and builds from what was packed.
//!
//! Nothing is sent anywhere. Cargo packs the crates, and builds each from its package beside the packages of
//! the others, as a registry would give them.

use std::path::Path;

use clap::{ArgMatches, Command};
use serde_json::Value;

use crate::cargo::{cargo, output, run as run_program};
use crate::{Result, repository};

/// A crate that is not kept from being published.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) name: String,
    /// The version of Rust it asks for.
    pub(crate) rust_version: String,
    /// Whether it is a library, rather than a program alone.
    pub(crate) is_library: bool,
}

pub(crate) fn command() -> Command {
    Command::new("package").about("Packs every crate that is published, and builds it from its package")
}

pub(crate) fn run(_: &ArgMatches) -> Result<()> {
    check(&repository::root()?)
}

/// Packs them all.
///
/// # Errors
/// Where one cannot be packed, or does not build from its package.
pub(crate) fn check(root: &Path) -> Result<()> {
    // What is being changed is packed too, before it is committed.
    let mut package = cargo(root, &["package", "--quiet", "--allow-dirty"]);
    for Published { name, .. } in published(root)? {
        package.args(["--package", &name]);
    }
    run_program(&mut package)
}

/// The crates of the workspace that are published.
pub(crate) fn published(root: &Path) -> Result<Vec<Published>> {
    let metadata = output(&mut cargo(root, &["metadata", "--no-deps", "--format-version", "1"]))?;
    Ok(published_of(&serde_json::from_str(&metadata)?))
}

fn published_of(metadata: &Value) -> Vec<Published> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().into_iter().flatten();
    // `publish = false` is told as a list without a registry.
    let public = packages.filter(|package| package["publish"].is_null());
    public
        .map(|package| Published {
            name: text(&package["name"]),
            rust_version: text(&package["rust_version"]),
            is_library: is_library(package),
        })
        .collect()
}

fn is_library(package: &Value) -> bool {
    let targets = package["targets"].as_array().into_iter().flatten();
    let mut kinds = targets.filter_map(|target| target["kind"].as_array()).flatten();
    kinds.any(|kind| kind == "lib" || kind == "proc-macro")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_from_a_registry_is_left_out() {
        let metadata = serde_json::json!({ "packages": [
            { "name": "a", "publish": null, "rust_version": "1.95", "targets": [{ "kind": ["lib"] }, { "kind": ["test"] }] },
            { "name": "b", "publish": [], "rust_version": "1.95", "targets": [{ "kind": ["lib"] }] },
            { "name": "c", "publish": null, "rust_version": "1.95", "targets": [{ "kind": ["bin"] }] },
        ]});
        let expected = [("a", true), ("c", false)].map(|(name, is_library)| Published {
            name: name.to_owned(),
            rust_version: "1.95".to_owned(),
            is_library,
        });
        assert_eq!(published_of(&metadata), expected);
    }
}
