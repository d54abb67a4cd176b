//! No path of somebody's machine stands in a file.

use super::Finding;
use crate::repository::TextFile;

/// First parts of absolute paths that exist on one machine and not on the next.
const ROOTS: &[&str] = &["home", "root", "tmp", "work", "Users", "workspace"];

pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        for (line, text) in file.lines() {
            if let Some(root) = ROOTS.iter().find(|root| names_path_below(text, root)) {
                let rule = format!("a path below /{root} is of one machine; use a relative one");
                findings.push(Finding::new(file, line, rule));
            }
        }
    }
    findings
}

fn names_path_below(line: &str, root: &str) -> bool {
    let path = format!("/{root}/");
    line.match_indices(&path).any(|(at, _)| {
        let before = &line[..at];
        // Inside a longer path or address it is no root; after `://` it is one again.
        let inside = before.ends_with(|c: char| c.is_alphanumeric() || "._-~/}>)*".contains(c));
        !inside || before.ends_with("://")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_found(line: &str) -> bool {
        let file = TextFile { path: "a.md".to_owned(), text: format!("first\n{line}\n") };
        let findings = check(&[file]);
        assert!(findings.iter().all(|finding| finding.line == 2));
        !findings.is_empty()
    }

    #[test]
    fn an_absolute_path_is_found() {
        for root in ROOTS {
            for around in ["{}x", "see {}x", "(`{}`)", "--out={}x", "sqlite:{}x.db", "file://{}x", "\"{}x\""]
            {
                let line = around.replace("{}", &format!("/{root}/"));
                assert!(is_found(&line), "{line}");
            }
        }
    }

    #[test]
    fn part_of_a_longer_path_is_not_found() {
        for root in ROOTS {
            for around in ["https://example.com{}x", "$HOME{}x", "..{}x", "crates{}x", "{base}{}x"] {
                let line = around.replace("{}", &format!("/{root}/"));
                assert!(!is_found(&line), "{line}");
            }
        }
        assert!(!is_found("work/through or /working/"));
    }
}
