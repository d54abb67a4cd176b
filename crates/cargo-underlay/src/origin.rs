use std::path::{Path, PathBuf};

/// Where the crates of Underlay come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A registry, in the version of this program.
    Registry,
    /// A checkout of the repository: its folder.
    Checkout(PathBuf),
}

/// The folder of a checkout that holds the crates.
const CRATES: &str = "crates";

impl Origin {
    /// A checkout, where the folder is one.
    pub(crate) fn checkout(folder: &Path) -> Result<Self, String> {
        let wrong = |reason: &str| format!("--path {}: {reason}", folder.display());
        let whole = folder.canonicalize().map_err(|error| wrong(&error.to_string()))?;
        if whole.to_str().is_none() {
            return Err(wrong("a manifest can only hold a path of Unicode text"));
        }
        if !whole.join(CRATES).join("underlay/Cargo.toml").is_file() {
            return Err(wrong(
                "there is no crates/underlay in it; name the folder of a checkout of Underlay",
            ));
        }
        Ok(Self::Checkout(whole))
    }

    /// A dependency on one of the crates, as a manifest has it between braces.
    pub(crate) fn dependency(&self, krate: &str) -> String {
        match self {
            Self::Registry => format!("version = \"{}\"", env!("CARGO_PKG_VERSION")),
            Self::Checkout(folder) => format!("path = {}", toml_text(&path_of(folder, krate))),
        }
    }

    /// The command that adds the store to a package that is there.
    pub(crate) fn add_command(&self) -> String {
        match self {
            Self::Registry => format!("cargo add underlay@{}", env!("CARGO_PKG_VERSION")),
            Self::Checkout(folder) => format!("cargo add --path '{}'", path_of(folder, "underlay")),
        }
    }
}

fn path_of(folder: &Path, krate: &str) -> String {
    folder.join(CRATES).join(krate).to_string_lossy().into_owned()
}

/// A text between quotes, as TOML has it.
fn toml_text(text: &str) -> String {
    let mut written = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => written.extend(['\\', c]),
            c if c.is_control() => written += &format!("\\u{:04X}", u32::from(c)),
            c => written.push(c),
        }
    }
    written.push('"');
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_text_of_a_manifest_whatever_is_in_it() {
        assert_eq!(toml_text(r#"C:\a "b""#), r#""C:\\a \"b\"""#);
        assert_eq!(toml_text("a\nb"), "\"a\\u000Ab\"");
    }

    #[test]
    fn what_is_no_checkout_is_told() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(Origin::checkout(&here.join("nowhere")).unwrap_err().contains("nowhere"));
        assert!(Origin::checkout(here).unwrap_err().contains("no crates/underlay in it"));
        let dependency = Origin::checkout(&here.join("../..")).unwrap().dependency("underlay");
        assert!(
            dependency.starts_with("path = \"") && dependency.ends_with("crates/underlay\""),
            "{dependency}"
        );
    }
}
