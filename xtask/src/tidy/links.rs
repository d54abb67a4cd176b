//! Links in Markdown files lead to files and headings that are there.

use std::path::{Component, Path, PathBuf};

use super::Finding;
use super::markdown::{anchors, prose};
use crate::repository::TextFile;

pub(super) fn check(root: &Path, files: &[TextFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        for (line, text) in prose(file) {
            let broken = targets(text).into_iter().filter_map(|target| broken(root, files, file, &target));
            findings.extend(broken.map(|rule| Finding::new(file, line, rule)));
        }
    }
    findings
}

/// What is wrong with a link; `None` where it leads somewhere, or out of the repository.
fn broken(root: &Path, files: &[TextFile], from: &TextFile, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { from.path.clone() } else { resolve(&from.path, path)? };
    if !root.join(&path).exists() && !files.iter().any(|file| file.path == path) {
        return Some(format!("the link to {target} leads nowhere"));
    }
    let page = files.iter().find(|file| file.path == path && path.ends_with(".md"))?;
    let missing = !heading.is_empty() && !anchors(page).iter().any(|anchor| anchor == heading);
    missing.then(|| format!("the link to {target} names a heading that is not there"))
}

/// The path from the root that a path in a file means; `None` where it leads out of the repository.
fn resolve(from: &str, path: &str) -> Option<String> {
    let mut resolved = PathBuf::from(from);
    resolved.pop();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => {
                if !resolved.pop() {
                    return None;
                }
            }
            Component::Normal(name) => resolved.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    Some(resolved.to_string_lossy().replace('\\', "/"))
}

/// The targets of the links in a line: `[text](target)` and `[name]: target`.
fn targets(line: &str) -> Vec<String> {
    let without_code: String =
        line.split('`').enumerate().map(|(at, part)| if at % 2 == 0 { part } else { "" }).collect();
    let inline = without_code.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let definition =
        without_code.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
    inline
        .chain(definition)
        .filter_map(|target| target.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(usize, String)> {
        let file = |path: &str, text: &str| TextFile { path: path.to_owned(), text: text.to_owned() };
        let files = [file("README.md", "# The Start\n"), file("docs/page.md", text), file("src/a.rs", "")];
        let root = tempfile::tempdir().unwrap();
        check(root.path(), &files).into_iter().map(|finding| (finding.line, finding.rule)).collect()
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let text = "# Here\n[a](../README.md), ![b](../src/a.rs \"title\"), [c](#here), [d](https://example.com/x)\n\
                    [e]: ../README.md#the-start\n`[f](nowhere.md)`\n```\n[g](nowhere.md)\n```\n";
        assert_eq!(found(text), []);
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let rules = found("one\n[a](gone.md) [b](../README.md#gone)\n[c]: ./gone/\n");
        let lines: Vec<usize> = rules.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 2, 3]);
        assert!(rules[0].1.contains("gone.md leads nowhere"), "{rules:?}");
        assert!(rules[1].1.contains("heading"), "{rules:?}");
    }
}
