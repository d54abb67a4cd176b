//! The folders of a crate that stand in an order: imports go to the own folder and to those before it.

use super::Finding;
use super::code::code_only;
use crate::repository::TextFile;

/// A crate's sources, and its folders from the lowest up.
const ORDERS: &[(&str, &[&str])] =
    &[("crates/underlay-core/src/", &["words", "domain", "ports", "adapter", "memory"])];

pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        for (sources, folders) in ORDERS {
            let folder = file.path.strip_prefix(sources).and_then(|path| path.split_once('/'));
            let own = folder.and_then(|(folder, _)| folders.iter().position(|name| *name == folder));
            if let Some(own) = own {
                findings.extend(check_file(file, folders, own));
            }
        }
    }
    findings
}

fn check_file(file: &TextFile, folders: &[&str], own: usize) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(code_only(&file.text).lines()) {
        for (at, marker) in line.match_indices("crate::") {
            let rest = &line[at + marker.len()..];
            let end = rest.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(rest.len());
            let name = &rest[..end];
            if !folders[..=own].contains(&name) {
                let allowed = folders[..=own].join(", ");
                let rule = format!("`crate::{name}` does not stand below; folders it may name: {allowed}");
                findings.push(Finding::new(file, number, rule));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> usize {
        check(&[TextFile { path: path.to_owned(), text: text.to_owned() }]).len()
    }

    #[test]
    fn imports_go_down() {
        let ports = "crates/underlay-core/src/ports/clock.rs";
        assert_eq!(
            rules(ports, "use crate::words::Error;\nuse crate::domain::View;\nuse crate::ports::Query;\n"),
            0
        );
        assert_eq!(rules(ports, "use crate::adapter::Walk;\n"), 1);
        assert_eq!(rules(ports, "fn f(_: crate::memory::MemoryLeases) {}\n"), 1);
        assert_eq!(rules(ports, "use crate::Error;\n"), 1, "the root holds names of every folder");
        assert_eq!(rules(ports, "/// See [`Walk`](crate::adapter::Walk).\n"), 0);
        assert_eq!(rules("crates/underlay-core/src/lib.rs", "use crate::adapter::Walk;\n"), 0);
    }
}
