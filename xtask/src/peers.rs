//! `cargo xtask bench --peers`: event stores of others beside ours, in a workspace of their own.
//!
//! What that needs is looked for here: `protoc`, which builds the client of UmaDB, and UmaDB's server,
//! which a Python package carries. Where one cannot be had the rest is measured without UmaDB.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use servers::{install, output};

use crate::Result;
use crate::cargo::{cargo, run as run_program, target_directory};

/// The server's package; its version is that of the client in `bench/peers`.
const UMADB_PACKAGE: &str = "umadb==0.7.8";

/// Builds and runs the comparison, with arguments of its own.
pub(crate) fn run(root: &Path, arguments: &[OsString]) -> Result<()> {
    // No other build shares it, so that none of both throws the other's work away.
    let target = target_directory(root)?.join("peers");
    let umadb = umadb(&target.join("umadb"));
    let manifest = root.join("bench/peers/Cargo.toml");
    // Where this was called: a path among the arguments is relative to that.
    let mut command = cargo(&env::current_dir()?, &["run", "--release", "--quiet"]);
    command.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(&target);
    match umadb {
        Ok(program) => command.args(["--", "--umadb"]).arg(program),
        Err(reason) => {
            command.args(["--no-default-features", "--", "--without-umadb"]).arg(reason.to_string())
        }
    };
    run_program(command.args(arguments))
}

/// The program of UmaDB's server, in a Python environment of its own; `protoc` is there too then.
fn umadb(folder: &Path) -> servers::Result<PathBuf> {
    if output(Command::new("protoc").arg("--version")).is_err() {
        install("protobuf-compiler").map_err(|error| format!("protoc, which builds its client: {error}"))?;
    }
    let program = folder.join("bin/umadb");
    if output(Command::new(&program).arg("--version")).is_err() {
        output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--quiet", "--no-deps", "--only-binary", ":all:", UMADB_PACKAGE]);
        output(&mut pip)?;
        output(Command::new(&program).arg("--version"))?;
    }
    Ok(program)
}
