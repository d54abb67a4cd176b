//! Programs that are missing, from the packages of Debian.

use std::process::{Command, Stdio};

use crate::{Result, output};

/// Installs a Debian package. What the installer says goes to the terminal.
///
/// # Errors
/// Where this process may not, or this is no Debian.
pub fn install(package: &str) -> Result<()> {
    if !is_root() || output(Command::new("apt-get").arg("--version")).is_err() {
        return Err(format!("not installed; `apt-get install {package}` installs it").into());
    }
    apt_get(&["update"])?;
    apt_get(&["install", "--yes", "--no-install-recommends", package])
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command
        .args(["--quiet", "--quiet", "--option", "DPkg::Lock::Timeout=120"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null());
    let status = command.status().map_err(|error| format!("apt-get did not start: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("apt-get {} failed: {status}", arguments.join(" ")).into())
    }
}

pub(crate) fn is_root() -> bool {
    output(Command::new("id").arg("--user")).is_ok_and(|user| user.trim() == "0")
}
