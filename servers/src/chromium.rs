//! A browser for the pages of a service, and what judges how accessible they are: Chromium, as Debian has it, and
//! axe-core, a package of npm.

use std::path::PathBuf;
use std::process::Command;

use crate::npm::NpmPackage;
use crate::{Result, install, output};

const PROGRAM: &str = "/usr/bin/chromium";
const PACKAGE: &str = "chromium";
const AXE_CORE: NpmPackage = NpmPackage {
    name: "axe-core",
    version: "4.14.1",
    sha512: "1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b73\
             4f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5",
};

/// The program of Chromium, installed where it is missing.
///
/// # Errors
/// Where it is missing and cannot be installed.
pub fn chromium_program() -> Result<PathBuf> {
    let program = PathBuf::from(PROGRAM);
    if !program.exists() {
        install(PACKAGE)?;
    }
    Ok(program)
}

/// The script of axe-core, for a page to run.
///
/// # Errors
/// Where it cannot be fetched, or is not what it was.
pub fn axe_core() -> Result<String> {
    let archive = AXE_CORE.find_or_fetch()?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--gzip", "--to-stdout", "--file"]).arg(archive);
    output(tar.arg("package/axe.min.js"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_is_pinned_by_its_whole_content() {
        assert!(AXE_CORE.is_pinned());
    }
}
