//! Packages of npm, each pinned by its version and its content. A package is kept in the user's cache; nothing in it is
//! run while it is fetched.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::{Result, output};

/// A package.
pub(crate) struct NpmPackage {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// Of the file that npm packs, in hexadecimal digits.
    pub(crate) sha512: &'static str,
}

impl NpmPackage {
    /// The file of the package, fetched before where it is not in the cache.
    pub(crate) fn find_or_fetch(&self) -> Result<PathBuf> {
        let cache = cache()?;
        fs::create_dir_all(&cache)?;
        let stem = self.name.trim_start_matches('@').replace('/', "-");
        let file = format!("{stem}-{}.tgz", self.version);
        let kept = cache.join(&file);
        if kept.exists() && digest(&kept)? == self.sha512 {
            return Ok(kept);
        }
        // Beside the place it is kept, so that it comes there whole and at once.
        let fetched = tempfile::tempdir_in(&cache)?;
        let mut npm = Command::new("npm");
        npm.args(["pack", "--silent", "--pack-destination"]).arg(fetched.path());
        output(npm.arg(format!("{}@{}", self.name, self.version)).current_dir(fetched.path()))?;
        let fetched = fetched.path().join(&file);
        let found = digest(&fetched)?;
        if found != self.sha512 {
            return Err(
                format!("{} {} is not what it was: its SHA-512 is {found}", self.name, self.version).into()
            );
        }
        fs::rename(&fetched, &kept)?;
        Ok(kept)
    }

    /// Whether its whole content is named.
    #[cfg(test)]
    pub(crate) fn is_pinned(&self) -> bool {
        self.sha512.len() == 128 && self.sha512.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

/// Where a user's programs keep what they can fetch again.
pub(crate) fn cache() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    Ok(cache.ok_or("there is no cache: neither XDG_CACHE_HOME nor HOME is set")?.join("underlay"))
}

pub(crate) fn digest(file: &Path) -> Result<String> {
    let said = output(Command::new("sha512sum").arg("--binary").arg(file))?;
    Ok(said.split_whitespace().next().unwrap_or_default().to_owned())
}
