use std::fmt;

/// Bytes of a name at most: it is part of variables, of a unit and of an image, which have limits of their own.
const NAME_BYTES_MAX: usize = 48;

/// Words that Rust keeps for itself.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static",
    "struct", "super", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual",
    "where", "while", "yield",
];
/// Crates that every Rust program has, and folders that cargo keeps beside programs.
const CARGO: &[&str] =
    &["alloc", "build", "core", "deps", "examples", "incremental", "proc_macro", "std", "test"];
/// Crates that the package needs.
const NEEDED: &[&str] =
    &["axum", "http_body_util", "serde_json", "tokio", "tower", "underlay", "underlay_testkit", "ureq"];
/// Names of files that Windows keeps for devices.
const DEVICES: &[&str] = &[
    "aux", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "con", "lpt1", "lpt2",
    "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9", "nul", "prn",
];

/// The name of a package, its folder, its program and its service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackageName(String);

impl PackageName {
    /// Takes lower-case letters, digits, `-` and `_`, from a letter on, that mean nothing else to Rust and cargo.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |reason: &str| {
            Err(format!(
                "{text:?} is no name for a package: {reason}; take lower-case letters, digits, `-` and `_`, beginning \
                 with a letter, such as order-desk"
            ))
        };
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if text.is_empty() {
            return wrong("it is empty");
        }
        if text.len() > NAME_BYTES_MAX {
            return wrong(&format!("it is longer than {NAME_BYTES_MAX} bytes (NAME_BYTES_MAX)"));
        }
        if text.contains(['/', '\\']) {
            return wrong("it is a path, and the package is made in the current folder");
        }
        if let Some(odd) = text.chars().find(|c| !is_allowed(*c)) {
            return wrong(&format!("it contains {odd:?}"));
        }
        if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
            return wrong("it does not begin with a letter");
        }
        if text.ends_with(['-', '_']) {
            return wrong("it does not end with a letter or a digit");
        }
        let krate = text.replace('-', "_");
        for (names, reason) in [
            (KEYWORDS, "it is a keyword of Rust"),
            (CARGO, "cargo and Rust have something else of this name"),
            (NEEDED, "the package needs a crate of this name"),
            (DEVICES, "Windows has a device of this name"),
        ] {
            if names.contains(&krate.as_str()) {
                return wrong(reason);
            }
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What the names of the service's variables begin with.
    pub(crate) fn variable(&self) -> String {
        self.0.replace('-', "_").to_ascii_uppercase()
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cargo_takes_are_taken() {
        for name in ["shop", "order-desk", "order_desk", "s3", "a", &"x".repeat(NAME_BYTES_MAX)] {
            assert_eq!(PackageName::parse(name).unwrap().as_str(), name);
        }
        assert_eq!(PackageName::parse("order-desk").unwrap().variable(), "ORDER_DESK");
    }

    #[test]
    fn a_wrong_name_is_told_with_a_reason() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for (name, part) in [
            ("", "is empty"),
            (long.as_str(), "NAME_BYTES_MAX"),
            ("a/b", "is a path"),
            ("..", "contains '.'"),
            ("Shop", "contains 'S'"),
            ("sh op", "contains ' '"),
            ("shöp", "contains 'ö'"),
            ("a\nb", "contains '\\n'"),
            ("3shop", "begin with a letter"),
            ("-shop", "begin with a letter"),
            ("_shop", "begin with a letter"),
            ("shop-", "end with a letter"),
            ("match", "keyword"),
            ("proc-macro", "something else"),
            ("test", "something else"),
            ("underlay", "needs a crate"),
            ("serde-json", "needs a crate"),
            ("nul", "device"),
        ] {
            let told = PackageName::parse(name).unwrap_err();
            assert!(told.contains(part) && told.contains("order-desk"), "{name:?}: {told}");
        }
    }
}
