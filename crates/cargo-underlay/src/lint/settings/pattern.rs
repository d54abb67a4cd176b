/// A path from the root, in which `*` stands for any part of a name, and `**` for any folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: String,
    /// Where it stands in the file.
    pub(crate) line: usize,
}

impl Pattern {
    pub(crate) fn parse(text: &str, line: usize) -> Result<Self, String> {
        check_path(text)?;
        if text.split('/').next().is_some_and(|first| first.contains('*')) {
            return Err(format!("{text} names everything; begin with a folder, as in src/infrastructure/**"));
        }
        Ok(Self { text: text.to_owned(), line })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        let pattern: Vec<&str> = self.text.split('/').collect();
        let path: Vec<&str> = path.split('/').collect();
        matches_path(&pattern, &path)
    }
}

/// A path from the root that stays below it.
pub(super) fn check_path(text: &str) -> Result<(), String> {
    let is_plain = |segment: &str| !segment.is_empty() && segment != "." && segment != "..";
    if text.contains('\\') || !text.split('/').all(is_plain) {
        return Err(format!("{text} is not a path from the root of the workspace, such as src/orders.rs"));
    }
    Ok(())
}

fn matches_path(pattern: &[&str], path: &[&str]) -> bool {
    match pattern.split_first() {
        None => path.is_empty(),
        Some((&"**", rest)) => (0..=path.len()).any(|passed| matches_path(rest, &path[passed..])),
        Some((first, rest)) => path
            .split_first()
            .is_some_and(|(name, path)| matches_name(first, name) && matches_path(rest, path)),
    }
}

fn matches_name(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            let mut ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.any(|at| matches_name(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_names_and_folders() {
        let matches = |pattern: &str, path: &str| Pattern::parse(pattern, 1).unwrap().matches(path);
        for (pattern, path) in [
            ("src/infrastructure/**", "src/infrastructure/a.rs"),
            ("src/infrastructure/**", "src/infrastructure/deep/er/a.rs"),
            ("crates/*/src/store.rs", "crates/shop/src/store.rs"),
            ("src/**/sql_*.rs", "src/a/b/sql_orders.rs"),
            ("src/**/sql_*.rs", "src/sql_orders.rs"),
            ("src/main.rs", "src/main.rs"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("src/infrastructure/**", "src/infrastructure.rs"),
            ("src/infrastructure/**", "other/src/infrastructure/a.rs"),
            ("src/infrastructure/*", "src/infrastructure/deep/a.rs"),
            ("src/main.rs", "src/main.rs.rs"),
            ("crates/*/src/store.rs", "crates/a/b/src/store.rs"),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }
}
