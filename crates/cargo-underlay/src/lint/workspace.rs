//! The packages of a workspace, as `cargo metadata` tells them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Failure;

#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) packages: Vec<Package>,
}

#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest: PathBuf,
    pub(crate) targets: Vec<Target>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A crate that cargo builds of a package.
#[derive(Debug)]
pub(crate) struct Target {
    /// As Rust code names it.
    pub(crate) name: String,
    pub(crate) source: PathBuf,
    pub(crate) kind: TargetKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetKind {
    Library,
    /// A program, an example, or `build.rs`.
    Program,
    /// A test or a benchmark.
    Test,
}

#[derive(Debug)]
pub(crate) struct Dependency {
    /// The name of its package.
    pub(crate) package: String,
    /// The name it has in the manifest.
    pub(crate) key: String,
    pub(crate) is_renamed: bool,
}

impl Workspace {
    /// The workspace that a folder belongs to.
    pub(crate) fn around(folder: &Path) -> Result<Self, Failure> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut metadata = Command::new(cargo);
        metadata.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(folder);
        let output = metadata
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Failure::wrong(format!("`cargo metadata` did not start: {error}")))?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::wrong(format!("`cargo metadata` failed: {}", told.trim())));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| Failure::wrong(format!("`cargo metadata` printed no JSON: {error}")))?;
        Ok(Self::of(&metadata))
    }

    fn of(metadata: &Value) -> Self {
        Self {
            root: PathBuf::from(text(&metadata["workspace_root"])),
            packages: list(&metadata["packages"]).iter().map(Package::of).collect(),
        }
    }

    /// A path from the root, with `/` on every system; the path itself where it lies outside.
    pub(crate) fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().replace('\\', "/")
    }
}

impl Package {
    fn of(package: &Value) -> Self {
        Self {
            name: text(&package["name"]),
            manifest: PathBuf::from(text(&package["manifest_path"])),
            targets: list(&package["targets"]).iter().map(Target::of).collect(),
            dependencies: list(&package["dependencies"]).iter().map(Dependency::of).collect(),
        }
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.manifest.parent().unwrap_or(&self.manifest)
    }
}

impl Target {
    fn of(target: &Value) -> Self {
        let kinds: Vec<String> = list(&target["kind"]).iter().map(text).collect();
        let is = |kind: &str| kinds.iter().any(|own| own == kind);
        let kind = if is("test") || is("bench") {
            TargetKind::Test
        } else if is("bin") || is("example") || is("custom-build") {
            TargetKind::Program
        } else {
            TargetKind::Library
        };
        Self { name: krate(&text(&target["name"])), source: PathBuf::from(text(&target["src_path"])), kind }
    }
}

impl Dependency {
    fn of(dependency: &Value) -> Self {
        let package = text(&dependency["name"]);
        let renamed = dependency["rename"].as_str().map(str::to_owned);
        Self { is_renamed: renamed.is_some(), key: renamed.unwrap_or_else(|| package.clone()), package }
    }
}

/// The name of a crate in code, of its name in a manifest.
pub(crate) fn krate(name: &str) -> String {
    name.replace('-', "_")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
