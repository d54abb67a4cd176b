//! A folder on this machine in which a person makes packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub(crate) struct Place(PathBuf);

/// The checkout that the packages are made of.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

impl Place {
    /// An empty folder below the target directory.
    pub(crate) fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(folder.join(".cargo")).unwrap();
        fs::write(folder.join(".cargo/config.toml"), settings()).unwrap();
        // The format of a person who has said nothing of it.
        fs::write(folder.join("rustfmt.toml"), "").unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    /// `cargo underlay new`, as cargo starts it.
    pub(crate) fn new_package(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-underlay"));
        command.args(["underlay", "new"]).args(arguments).current_dir(&self.0).output().unwrap()
    }

    /// A package of this checkout's crates, which is ready to be built without a network.
    pub(crate) fn made(&self, name: &str, more: &[&str]) -> String {
        let root = root();
        let arguments = [&[name, "--path", root.to_str().unwrap()], more].concat();
        let made = self.new_package(&arguments);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        fs::copy(root.join("Cargo.lock"), self.path(name).join("Cargo.lock")).unwrap();
        String::from_utf8(made.stdout).unwrap()
    }

    /// Cargo, in a package.
    pub(crate) fn cargo(&self, name: &str, arguments: &[&str]) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.args(arguments).current_dir(self.path(name)).stdin(Stdio::null());
        // Cargo tells programs it starts about the package of this test.
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("CARGO_PKG") || variable == "CARGO_MANIFEST_DIR" {
                cargo.env_remove(variable);
            }
        }
        cargo
    }

    /// Runs cargo in a package, which warns of nothing, and gives what it printed.
    pub(crate) fn run(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.cargo(name, arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, told) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "cargo {arguments:?} in {name}:\n{out}\n{told}");
        assert!(!told.contains("warning"), "{told}");
        out
    }

    /// What lies in the folder, beside the settings.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name());
        let names = entries.map(|name| name.to_string_lossy().into_owned());
        let mut names: Vec<String> =
            names.filter(|name| name != ".cargo" && name != "rustfmt.toml").collect();
        names.sort();
        names
    }
}

/// Cargo's settings: those of this repository, so that what was built for it is used, and no network, since
/// everything that is needed is there.
fn settings() -> String {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let profiles = manifest.find("[profile.").map_or("", |at| &manifest[at..]);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    format!("[build]\ntarget-dir = {target:?}\n\n[net]\noffline = true\n\n{profiles}")
}
