//! `cargo xtask api`: the public items of the crates that are published, compared with the files in `api/`.
//!
//! A change of the public API changes those files with it, so that nobody changes it without noticing:
//! `cargo xtask api --bless` writes them. rustdoc describes each crate as JSON, a small program of a workspace
//! of its own lists the items. The format of that JSON belongs to a version of Rust: the one that
//! `rust-version` names.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use clap::{Arg, ArgAction, ArgMatches};

use crate::cargo::{cargo, output, run as run_program, target_directory};
use crate::package::{Published, published};
use crate::{Result, repository};

const TOOL: &str = "xtask/api/Cargo.toml";
const FOLDER: &str = "api";
/// Lines of a difference that are printed for a crate.
const LINES_SHOWN_MAX: usize = 40;

pub(crate) fn command() -> clap::Command {
    let bless = Arg::new("bless").long("bless").action(ArgAction::SetTrue);
    clap::Command::new("api")
        .about("Compares the public items of the crates with the files in api/")
        .arg(bless.help("Write the files instead"))
}

pub(crate) fn run(arguments: &ArgMatches) -> Result<()> {
    let root = repository::root()?;
    if !arguments.get_flag("bless") {
        return check(&root);
    }
    let Some(described) = describe(&root)? else { return Ok(()) };
    fs::create_dir_all(root.join(FOLDER))?;
    for (name, items) in &described {
        fs::write(root.join(FOLDER).join(file_name(name)), items)?;
    }
    for stale in stale_files(&root, &described)? {
        fs::remove_file(root.join(FOLDER).join(stale))?;
    }
    Ok(())
}

/// Compares the files with the code.
///
/// # Errors
/// Where they differ; the differences are printed.
pub(crate) fn check(root: &Path) -> Result<()> {
    let Some(described) = describe(root)? else { return Ok(()) };
    let mut differ = stale_files(root, &described)?;
    for (name, items) in &described {
        let written = fs::read_to_string(root.join(FOLDER).join(file_name(name))).unwrap_or_default();
        let lines = difference(&written, items);
        if !lines.is_empty() {
            differ.push(file_name(name));
            println!("{FOLDER}/{}:", file_name(name));
            lines.iter().take(LINES_SHOWN_MAX).for_each(|line| println!("  {line}"));
            if lines.len() > LINES_SHOWN_MAX {
                println!("  and {} more lines", lines.len() - LINES_SHOWN_MAX);
            }
        }
    }
    if differ.is_empty() {
        return Ok(());
    }
    let differ = differ.join(", ");
    Err(format!("the public API is not what {FOLDER}/ says ({differ}); `cargo xtask api --bless` writes it")
        .into())
}

/// The public items of each published crate, one a line; `None` where this Rust cannot tell, which is printed.
fn describe(root: &Path) -> Result<Option<Vec<(String, String)>>> {
    let mut crates = published(root)?;
    // A program has no public items.
    crates.retain(|published| published.is_library);
    if let Some(reason) = other_rust(root, &crates)? {
        if env::var("REQUIRE_SERVERS").is_ok_and(|value| value == "1") {
            return Err(format!("{reason}, and REQUIRE_SERVERS=1").into());
        }
        println!("SKIP api: {reason}");
        return Ok(None);
    }
    let target = target_directory(root)?;
    let tool = target.join("tools").join("api");
    let mut build = cargo(root, &["build", "--quiet", "--locked", "--manifest-path", TOOL, "--target-dir"]);
    run_program(build.arg(&tool))?;
    let programs = tool.join("debug");
    // All of the workspace, as the documentation is built: so nothing below it is built again.
    let mut document =
        cargo(root, &["doc", "--quiet", "--no-deps", "--workspace", "--all-features", "--lib"]);
    document.env("RUSTDOC", programs.join("rustdoc-json"));
    document.env("RUSTDOCFLAGS", "-Z unstable-options --output-format json --cap-lints allow");
    run_program(&mut document)?;
    let mut described = Vec::new();
    for Published { name, .. } in crates {
        let json = target.join("doc").join(format!("{}.json", name.replace('-', "_")));
        let items = output(Command::new(programs.join("api")).arg(json))?;
        described.push((name, items));
    }
    Ok(Some(described))
}

fn other_rust(root: &Path, crates: &[Published]) -> Result<Option<String>> {
    let told = output(Command::new("rustc").arg("--version").current_dir(root))?;
    let asked = crates.first().map_or("", |published| &published.rust_version);
    let fits = told.split(' ').nth(1).is_some_and(|version| version.starts_with(&format!("{asked}.")));
    Ok((!fits).then(|| format!("the files are made with Rust {asked}, and this is {}", told.trim())))
}

/// Files of crates that there are no more.
fn stale_files(root: &Path, described: &[(String, String)]) -> Result<Vec<String>> {
    let Ok(entries) = fs::read_dir(root.join(FOLDER)) else { return Ok(Vec::new()) };
    let mut stale = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !described.iter().any(|(known, _)| file_name(known) == name) {
            stale.push(name);
        }
    }
    Ok(stale)
}

fn file_name(name: &str) -> String {
    format!("{name}.txt")
}

/// The lines that went and those that came.
fn difference(before: &str, after: &str) -> Vec<String> {
    let (old, new): (BTreeSet<&str>, BTreeSet<&str>) = (before.lines().collect(), after.lines().collect());
    let gone = old.difference(&new).map(|line| format!("- {line}"));
    gone.chain(new.difference(&old).map(|line| format!("+ {line}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_said_line_by_line() {
        assert_eq!(difference("pub fn a\npub fn b\n", "pub fn b\npub fn c\n"), ["- pub fn a", "+ pub fn c"]);
        assert_eq!(difference("pub fn a\n", "pub fn a\n"), [""; 0]);
    }
}
