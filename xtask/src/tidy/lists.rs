//! Lists in prose name what is there: each is compared with the code or the files it speaks of.

use std::collections::BTreeSet;

use super::Finding;
use super::code::code_only;
use crate::repository::TextFile;

/// What a list is of.
#[derive(Clone, Copy, Debug)]
enum Things {
    /// The traits of `underlay-core` that adapters implement.
    Ports,
    /// The attributes of `underlay-derive`.
    Attributes,
    /// The suites of `conformance!`.
    Suites,
    /// The commands of this program.
    Commands,
    /// The members of the workspace, by their folders.
    Members,
}

/// A list in a text.
struct List {
    of: Things,
    path: &'static str,
    /// What stands before each name.
    before: &'static str,
    /// The text the list begins after, once; the whole file where it is empty.
    from: &'static str,
    /// The text it ends at.
    to: &'static str,
}

const LISTS: &[List] = &[
    List {
        of: Things::Ports,
        path: "crates/underlay-core/src/lib.rs",
        before: "[`",
        from: "the **ports**:",
        to: ".",
    },
    List { of: Things::Ports, path: "ARCHITECTURE.md", before: "`", from: "the ports (", to: ")" },
    List {
        of: Things::Attributes,
        path: "crates/underlay-derive/src/lib.rs",
        before: "[`macro@",
        from: "//! The attributes",
        to: "//! Each derives",
    },
    List {
        of: Things::Attributes,
        path: "ARCHITECTURE.md",
        before: "`#[",
        from: "### crates/underlay-derive",
        to: ".",
    },
    List {
        of: Things::Attributes,
        path: "crates/underlay-derive/README.md",
        before: "`#[",
        from: "The attributes",
        to: ".",
    },
    List {
        of: Things::Suites,
        path: "crates/underlay-testkit/src/lib.rs",
        before: "`",
        from: "The first argument names the port:",
        to: ". The second",
    },
    List {
        of: Things::Commands,
        path: "CONTRIBUTING.md",
        before: "\ncargo xtask ",
        from: "```text",
        to: "```",
    },
    List {
        of: Things::Members,
        path: "ARCHITECTURE.md",
        before: "\n### ",
        from: "",
        to: "## What is deliberately",
    },
];

pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    LISTS.iter().filter_map(|list| check_list(list, files)).collect()
}

fn check_list(list: &List, files: &[TextFile]) -> Option<Finding> {
    let Some(file) = files.iter().find(|file| file.path == list.path) else {
        return Some(Finding { path: list.path.to_owned(), line: 1, rule: "is missing".to_owned() });
    };
    let Some((before, rest)) = file.text.split_once(list.from) else {
        return Some(Finding::new(file, 1, format!("has no list after {:?}", list.from)));
    };
    let text = rest.split(list.to).next().unwrap_or_default();
    let named = names_after(text, list.before);
    let there = things(list.of, files);
    let line = before.lines().count() + 1;
    let differ = |what: &str, names: Vec<&String>| {
        let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
        Finding::new(file, line, format!("the list of {:?} {what}: {}", list.of, names.join(", ")))
    };
    let lacks: Vec<&String> = there.difference(&named).collect();
    let gone: Vec<&String> = named.difference(&there).collect();
    match (lacks.is_empty(), gone.is_empty()) {
        (false, _) => Some(differ("lacks", lacks)),
        (true, false) => Some(differ("names what is not there", gone)),
        (true, true) => None,
    }
}

/// The names in a text that stand after a sign; a heading and a folder may name several.
fn names_after(text: &str, before: &str) -> BTreeSet<String> {
    let name = |rest: &str| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && !"_-/, ".contains(c)).unwrap_or(rest.len());
        let line = &rest[..end];
        let is_heading = before.contains("###");
        let names = if is_heading { line } else { line.split([' ', ',']).next().unwrap_or_default() };
        names.split(", ").map(|name| name.trim().to_owned()).collect::<Vec<_>>()
    };
    text.split(before).skip(1).flat_map(name).filter(|name| !name.is_empty()).collect()
}

fn things(of: Things, files: &[TextFile]) -> BTreeSet<String> {
    let text_of = |path: &str| files.iter().find(|file| file.path == path).map_or("", |file| &file.text);
    match of {
        Things::Ports => {
            let sources =
                files.iter().filter(|file| file.path.starts_with("crates/underlay-core/src/ports/"));
            let traits = sources.flat_map(|file| names_after(&code_only(&file.text), "pub trait "));
            // What follows from a port's own methods is no port.
            traits.filter(|name| !name.ends_with("Ext")).collect()
        }
        Things::Attributes => {
            let code = code_only(text_of("crates/underlay-derive/src/lib.rs"));
            names_after(&code, "#[proc_macro_attribute]\npub fn ")
        }
        Things::Suites => {
            let code = code_only(text_of("crates/underlay-testkit/src/lib.rs"));
            let suites = code.split("macro_rules! conformance {").nth(1).unwrap_or_default();
            names_after(suites.split("macro_rules!").next().unwrap_or_default(), "\n    (")
        }
        Things::Commands => {
            let code = code_only(text_of("xtask/src/main.rs"));
            let entries = code.split("const COMMANDS").nth(1).unwrap_or_default();
            let entries = entries.split("];").next().unwrap_or_default();
            names_after(entries, "\n    (")
        }
        Things::Members => {
            let manifest = text_of("Cargo.toml");
            let members = manifest.split("\nmembers = [").nth(1).unwrap_or_default();
            let members = members.split(']').next().unwrap_or_default();
            names_after(members, "\n    \"")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(list: &List, files: &[(&str, &str)]) -> Option<String> {
        let files: Vec<TextFile> = files
            .iter()
            .map(|(path, text)| TextFile { path: (*path).to_owned(), text: (*text).to_owned() })
            .collect();
        check_list(list, &files).map(|finding| finding.to_string())
    }

    #[test]
    fn a_list_that_lacks_something_or_names_too_much_is_found() {
        let source =
            ("crates/underlay-core/src/ports/a.rs", "pub trait Store: Send {}\npub trait StoreExt {}\n");
        let list = List { of: Things::Ports, path: "a.md", before: "`", from: "the ports (", to: ")" };
        let of = |text: &'static str| found(&list, &[source, ("a.md", text)]);
        assert_eq!(of("Here are\nthe ports (`Store`).\n"), None);
        assert_eq!(of("the ports ()\n").unwrap(), "a.md:1: the list of Ports lacks: Store");
        let more = of("the ports (`Store`, `Clock`)\n").unwrap();
        assert_eq!(more, "a.md:1: the list of Ports names what is not there: Clock");
        assert!(of("nothing\n").unwrap().contains("no list after"));
    }

    #[test]
    fn headings_and_commands_are_read() {
        let members = ("Cargo.toml", "[workspace]\nmembers = [\n    \"crates/a\",\n    \"b\",\n]\n");
        let list = List { of: Things::Members, path: "a.md", before: "\n### ", from: "", to: "## End" };
        assert_eq!(found(&list, &[members, ("a.md", "# A\n### crates/a, b\nText.\n## End\n### c\n")]), None);
        let main = ("xtask/src/main.rs", "const COMMANDS: &[E] = &[\n    (ci::command, ci::run),\n];\n");
        let list =
            List { of: Things::Commands, path: "a.md", before: "\ncargo xtask ", from: "```", to: "```" };
        assert_eq!(found(&list, &[main, ("a.md", "```text\ncargo xtask ci --all   the gate\n```\n")]), None);
    }
}
