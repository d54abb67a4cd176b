//! Code in the documents is cut from files that are compiled: the text of a block equals its source.
//!
//! A comment above a block names the source, `<!-- snippet: PATH -->` for a whole file and
//! `<!-- snippet: PATH#REGION -->` for a part of one. Lines with `region: REGION` and `endregion: REGION`
//! after a comment sign mark that part in the source; they are left out of the text. What follows a `;` in
//! the comment is for whoever follows the document, such as the test of the guide.
//!
//! `cargo xtask tidy --fix` writes the sources into the blocks.

use std::fs;
use std::path::Path;

use super::Finding;
use crate::Result;
use crate::repository::{TextFile, text_files};

const OPENS: &str = "<!-- snippet: ";
const CLOSES: &str = "-->";
/// Languages whose blocks must name a source.
const COMPILED: &[&str] = &["rust", "toml"];

pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    files.iter().filter(|file| file.path.ends_with(".md")).flat_map(|file| check_file(file, files)).collect()
}

/// Writes the text of the sources into the blocks that name them.
pub(super) fn fix(root: &Path) -> Result<()> {
    let files = text_files(root)?;
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        let fixed = with_sources(file, &files);
        if fixed != file.text {
            fs::write(root.join(&file.path), fixed)?;
            println!("{}: wrote the snippets anew", file.path);
        }
    }
    Ok(())
}

/// A block of code in a document.
#[derive(Debug)]
struct Block<'a> {
    /// The line of its opening fence, from 1.
    line: usize,
    language: &'a str,
    /// What the comment above it names: a path, and a region where there is one.
    source: Option<(&'a str, Option<&'a str>)>,
    text: String,
}

fn check_file(file: &TextFile, files: &[TextFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for block in blocks(file) {
        let Some((path, region)) = block.source else {
            if COMPILED.contains(&block.language) {
                let rule = format!("a block of {} names its source: `{OPENS}PATH {CLOSES}`", block.language);
                findings.push(Finding::new(file, block.line, rule));
            }
            continue;
        };
        match text_of(files, path, region) {
            Ok(text) if text == block.text => {}
            Ok(_) => {
                let rule = format!("the block is not what {path} says; run `cargo xtask tidy --fix`");
                findings.push(Finding::new(file, block.line, rule));
            }
            Err(rule) => findings.push(Finding::new(file, block.line, rule)),
        }
    }
    findings
}

fn blocks(file: &TextFile) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<Block<'_>> = None;
    let mut before = "";
    for (number, line) in file.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text += &format!("{line}\n"),
            (None, Some(language)) => {
                open = Some(Block { line: number, language, source: source(before), text: String::new() });
            }
            (None, None) => {}
        }
        if !line.trim().is_empty() {
            before = line;
        }
    }
    blocks
}

fn source(comment: &str) -> Option<(&str, Option<&str>)> {
    let named = comment.trim().strip_prefix(OPENS)?.strip_suffix(CLOSES)?;
    let named = named.split(';').next()?.trim();
    Some(named.split_once('#').map_or((named, None), |(path, region)| (path, Some(region))))
}

/// The text of a file or of a region in it, without the lines that mark regions and without the
/// indentation all its lines have.
fn text_of(files: &[TextFile], path: &str, region: Option<&str>) -> std::result::Result<String, String> {
    let Some(file) = files.iter().find(|file| file.path == path) else {
        return Err(format!("the snippet names {path}, which is not there"));
    };
    let mut inside = region.is_none();
    let mut ended = region.is_none();
    let mut lines = Vec::new();
    for (_, line) in file.lines() {
        match mark(line) {
            Some(("region", name)) if Some(name) == region => inside = true,
            Some(("endregion", name)) if Some(name) == region => (inside, ended) = (false, true),
            Some(_) => {}
            None if inside => lines.push(line),
            None => {}
        }
    }
    if !ended {
        return Err(format!("{path} has no region {}", region.unwrap_or_default()));
    }
    let indent = lines.iter().filter(|line| !line.trim().is_empty()).map(|line| indentation(line)).min();
    let cut = |line: &&str| format!("{}\n", line.get(indent.unwrap_or(0)..).unwrap_or_default());
    let text: String = lines.iter().map(cut).collect();
    Ok(format!("{}\n", text.trim_matches('\n')))
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The word and the name of a line that begins or ends a region.
fn mark(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    let comment = line.strip_prefix("// ").or_else(|| line.strip_prefix("# "))?;
    let (word, name) = comment.split_once(": ")?;
    ["region", "endregion"].contains(&word).then_some((word, name))
}

fn with_sources(file: &TextFile, files: &[TextFile]) -> String {
    let mut text = String::new();
    let mut lines = file.text.lines();
    let mut blocks = blocks(file).into_iter();
    while let Some(line) = lines.next() {
        text += &format!("{line}\n");
        if !line.starts_with("```") {
            continue;
        }
        let Some(block) = blocks.next() else { continue };
        for _ in block.text.lines() {
            lines.next();
        }
        let source = block.source.and_then(|(path, region)| text_of(files, path, region).ok());
        text += &source.unwrap_or(block.text);
        text += &lines.next().map_or_else(String::new, |end| format!("{end}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str =
        "fn a() {\n    // region: part\n    b();\n\n        c();\n    // endregion: part\n}\n";

    fn files(page: &str) -> [TextFile; 2] {
        let file = |path: &str, text: &str| TextFile { path: path.to_owned(), text: text.to_owned() };
        [file("docs/page.md", page), file("src/a.rs", SOURCE)]
    }

    fn found(page: &str) -> Vec<(usize, String)> {
        check(&files(page)).into_iter().map(|finding| (finding.line, finding.rule)).collect()
    }

    #[test]
    fn a_block_that_is_its_source_passes() {
        let part = "<!-- snippet: src/a.rs#part; write src/b.rs -->\n\n```rust\nb();\n\n    c();\n```\n";
        let whole = "<!-- snippet: src/a.rs -->\n```rust\nfn a() {\n    b();\n\n        c();\n}\n```\n```text\nx\n```\n";
        assert_eq!((found(part), found(whole)), (vec![], vec![]));
    }

    #[test]
    fn a_block_that_is_not_is_found() {
        for (page, part) in [
            ("<!-- snippet: src/a.rs#part -->\n```rust\nb();\n```\n", "is not what src/a.rs says"),
            ("<!-- snippet: src/b.rs -->\n```rust\nb();\n```\n", "which is not there"),
            ("<!-- snippet: src/a.rs#gone -->\n```rust\nb();\n```\n", "no region gone"),
            ("Some text.\n```rust\nb();\n```\n", "names its source"),
        ] {
            let found = found(page);
            assert!(found.len() == 1 && found[0].0 == 2 && found[0].1.contains(part), "{found:?}");
        }
    }

    #[test]
    fn a_fix_makes_the_check_pass_and_leaves_the_rest() {
        let page =
            "# Page\n<!-- snippet: src/a.rs#part -->\n```rust\nold\nolder\n```\ntext\n```text\nx\n```\nend\n";
        let fixed = with_sources(&files(page)[0], &files(page));
        assert_eq!(found(&fixed), []);
        assert!(fixed.starts_with("# Page\n") && fixed.ends_with("text\n```text\nx\n```\nend\n"), "{fixed}");
    }
}
