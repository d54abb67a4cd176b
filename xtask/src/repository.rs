//! The repository's directory, and the text files in it.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use crate::Result;

/// A text file of the repository.
#[derive(Clone, Debug)]
pub(crate) struct TextFile {
    /// Its path from the root, with `/` on every system.
    pub(crate) path: String,
    /// What it holds.
    pub(crate) text: String,
}

impl TextFile {
    /// Its lines with their numbers, from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line))
    }

    /// Its last path segment.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The number of the first line of a TOML file that sets `key`; 1 where none does.
    pub(crate) fn line_setting(&self, key: &str) -> usize {
        let sets = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
        self.lines().find(|(_, line)| sets(line)).map_or(1, |(number, _)| number)
    }
}

/// The root of the workspace this program was started from.
///
/// # Errors
/// Where it was not started by cargo.
pub(crate) fn root() -> Result<PathBuf> {
    // Asked at run time: one target directory may serve several checkouts.
    let package = env::var_os("CARGO_MANIFEST_DIR").ok_or("start this program as `cargo xtask`")?;
    let root = Path::new(&package).parent().ok_or("the package has no directory above it")?;
    Ok(root.to_owned())
}

/// Every text file below `root`, in the order of their paths. Build output and what is hidden stay
/// out, except for the project's own hidden directories.
pub(crate) fn text_files(root: &Path) -> Result<Vec<TextFile>> {
    let mut files = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_dir() {
                let hidden = name.starts_with('.') && ![".cargo", ".ci", ".github"].contains(&name.as_str());
                if name != "target" && !hidden {
                    directories.push(entry.path());
                }
            } else if let Some(text) = read_text(&entry.path())? {
                let path = entry.path();
                let path = path.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
                files.push(TextFile { path, text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// The text of a file; `None` where it is no text, or went away while the directory was read.
fn read_text(path: &Path) -> Result<Option<String>> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_found_in_a_longer_one() {
        let text = "[dependencies]\nunderlay-core.workspace = true\nunderlay = { path = \"x\" }\n".to_owned();
        let file = TextFile { path: "Cargo.toml".to_owned(), text };
        let lines = ["underlay", "underlay-core", "under"].map(|key| file.line_setting(key));
        assert_eq!(lines, [3, 2, 1]);
    }

    #[test]
    fn text_is_found_and_build_output_is_not() {
        let root = tempfile::tempdir().unwrap();
        for (path, bytes) in [
            ("b/second.rs", &b"text"[..]),
            ("a.md", b"text"),
            (".ci/run", b"text"),
            (".git/config", b"text"),
            ("target/built.rs", b"text"),
            ("picture.png", b"\xff\xfe"),
            ("data.db", b"SQLite\0"),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let files = text_files(root.path()).unwrap();
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, [".ci/run", "a.md", "b/second.rs"]);
    }
}
