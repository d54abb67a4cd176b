//! The README lists every command of the ledger, and none that is not there.

use std::collections::BTreeSet;

use crate::program::Ledger;

fn help(ledger: &Ledger, arguments: &[&str]) -> String {
    let output = ledger.run(&[arguments, &["--help"]].concat());
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that a help text lists.
fn commands(ledger: &Ledger, arguments: &[&str]) -> Vec<String> {
    let text = help(ledger, arguments);
    let listed = text.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    // A line that is indented further goes on with the text of the one before.
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn the_readme_lists_every_command() {
    let ledger = Ledger::new();
    let mut there = BTreeSet::new();
    for command in commands(&ledger, &[]) {
        match commands(&ledger, &[&command]).as_slice() {
            [] => _ = there.insert(command),
            more => {
                there.extend(more.iter().map(|sub| format!("{command} {sub}")));
                // One that does something by itself too says so in its usage.
                let usage = format!("Usage: ledger {command} [OPTIONS] <");
                let help = help(&ledger, &[&command]);
                if help.contains(&usage) && !help.contains(&format!("{usage}COMMAND>")) {
                    there.insert(command);
                }
            }
        }
    }
    let readme = include_str!("../../../../README.md");
    let lines = readme.lines().filter_map(|line| line.strip_prefix("cargo run --release -- "));
    let listed: BTreeSet<String> = lines
        .filter(|line| !line.starts_with("--"))
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let two = words[..2].join(" ");
            if there.contains(&two) { two } else { words[0].to_owned() }
        })
        .collect();
    assert_eq!(listed, there);
}
