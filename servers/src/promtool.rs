//! The tool of Prometheus that checks rules and metrics, as Debian has it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, output};

const PROGRAM: &str = "/usr/bin/promtool";
/// The package has a service beside the tool. It is unpacked and not installed, so nothing is started.
const PACKAGE: &str = "prometheus";

/// The tool: the one that is installed, or one that is unpacked into a folder.
///
/// # Errors
/// Where it is missing, and this is no Debian or its packages cannot be had.
pub fn promtool(tools: &Path) -> Result<PathBuf> {
    let place = tools.join("promtool");
    for program in [PathBuf::from(PROGRAM), unpacked(&place)] {
        if output(Command::new(&program).arg("--version")).is_ok() {
            return Ok(program);
        }
    }
    fs::create_dir_all(&place)?;
    output(Command::new("apt-get").args(["--quiet", "--quiet", "update"]))
        .map_err(|error| format!("not installed; `apt-get install {PACKAGE}` installs it ({error})"))?;
    output(Command::new("apt-get").args(["--quiet", "--quiet", "download", PACKAGE]).current_dir(&place))?;
    let packages = fs::read_dir(&place)?.filter_map(|entry| Some(entry.ok()?.path()));
    let package = packages.filter(|path| path.extension().is_some_and(|end| end == "deb")).max();
    let package = package.ok_or_else(|| format!("apt-get brought no package of {PACKAGE}"))?;
    output(Command::new("dpkg-deb").arg("--extract").args([&package, &place]))?;
    fs::remove_file(package)?;
    let program = unpacked(&place);
    output(Command::new(&program).arg("--version"))?;
    Ok(program)
}

fn unpacked(place: &Path) -> PathBuf {
    place.join("usr").join("bin").join("promtool")
}
