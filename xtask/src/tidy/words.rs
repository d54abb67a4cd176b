//! Words that the page of words has dropped are not in the documents, nor in the comments of the code.

use super::Finding;
use super::code::code_only;
use super::markdown::{prose, table};
use crate::repository::TextFile;

const PAGE: &str = "docs/words.md";
const HEADER: &[&str] = &["Not", "but"];
/// There the words of others are their own, and here the tests name them.
const OTHERS: [&str; 2] = ["bench/peers/", "xtask/src/tidy/words.rs"];

pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    let Some(page) = files.iter().find(|file| file.path == PAGE) else {
        return vec![Finding { path: PAGE.to_owned(), line: 1, rule: "is missing".to_owned() }];
    };
    let Some(rows) = table(page, HEADER) else {
        return vec![Finding::new(page, 1, format!("has no table {}", HEADER.join(" | ")))];
    };
    let dropped: Vec<(&str, &str)> = rows
        .iter()
        .filter_map(|row| match row.cells.as_slice() {
            [dropped, instead] => Some((dropped.as_str(), instead.as_str())),
            _ => None,
        })
        .collect();
    let is_ours = |file: &&TextFile| !OTHERS.iter().any(|path| file.path.starts_with(path));
    let ours = files.iter().filter(|file| file.path != PAGE).filter(is_ours);
    ours.flat_map(|file| check_file(file, &dropped)).collect()
}

fn check_file(file: &TextFile, dropped: &[(&str, &str)]) -> Vec<Finding> {
    let texts: Vec<(usize, String)> = if file.path.ends_with(".md") {
        prose(file).map(|(line, text)| (line, text.to_owned())).collect()
    } else if file.path.ends_with(".rs") {
        comments(file)
    } else {
        Vec::new()
    };
    let mut findings = Vec::new();
    for (line, text) in texts {
        for (word, instead) in dropped.iter().filter(|(word, _)| names(&text, word)) {
            findings.push(Finding::new(file, line, format!("`{word}` is no word of ours: {instead}")));
        }
    }
    findings
}

/// What the comments of a file say, by line: what its code alone does not hold.
fn comments(file: &TextFile) -> Vec<(usize, String)> {
    let code = code_only(&file.text);
    let lines = file.lines().zip(code.lines());
    let comment = |((number, line), code): ((usize, &str), &str)| {
        // A comment goes on to the end of its line, a literal does not.
        let (at, _) = line
            .match_indices("//")
            .find(|(at, _)| code.get(*at..).is_some_and(|rest| rest.trim().is_empty()))?;
        Some((number, line[at..].trim_start_matches('/').to_owned()))
    };
    lines.filter_map(comment).collect()
}

/// Whether a text has the words, in any case, and not as part of longer ones; code in backticks is not text.
fn names(text: &str, words: &str) -> bool {
    let prose: String = text.split('`').step_by(2).collect::<Vec<_>>().join(" ").to_lowercase();
    prose.match_indices(words).any(|(at, _)| {
        let in_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let after = prose[at + words.len()..].trim_start_matches('s');
        !in_word(prose[..at].chars().next_back()) && !in_word(after.chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<usize> {
        let file = |path: &str, text: &str| TextFile { path: path.to_owned(), text: text.to_owned() };
        let page = "| Not | but |\n|---|---|\n| projection | view |\n| aggregate root | aggregate |\n";
        check(&[file(PAGE, page), file(path, text)]).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_dropped_word_is_found_in_documents_and_comments() {
        assert_eq!(found("a.md", "A view.\nProjections, and an Aggregate root.\n"), [2, 2]);
        assert_eq!(found("a.rs", "let a = 1; // a projection\n/// The aggregate root.\n"), [1, 2]);
    }

    #[test]
    fn code_and_longer_words_are_none() {
        assert_eq!(found("a.md", "`projection` and projectionist\n```text\nprojection\n```\n"), [0; 0]);
        assert_eq!(found("a.rs", "let projection = \"// a projection\";\n"), [1; 0]);
        assert_eq!(found("bench/peers/README.md", "a projection\n"), [0; 0]);
    }
}
