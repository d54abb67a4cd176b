//! As much of Markdown as the checks need: prose without code, tables, headings.

use crate::repository::TextFile;

/// The lines outside code blocks, with their numbers, from 1.
pub(super) fn prose(file: &TextFile) -> impl Iterator<Item = (usize, &str)> {
    let mut in_block = false;
    file.lines().filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        in_block ^= fence;
        !in_block && !fence
    })
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableRow {
    /// The line it is in, from 1.
    pub(super) line: usize,
    /// Its cells.
    pub(super) cells: Vec<String>,
}

/// The rows of the table with this header; `None` where there is no such table.
pub(super) fn table(file: &TextFile, header: &[&str]) -> Option<Vec<TableRow>> {
    let mut lines = prose(file).skip_while(|(_, line)| cells(line) != header);
    lines.next()?;
    let rows = lines.skip(1).take_while(|(_, line)| line.starts_with('|'));
    Some(rows.map(|(line, text)| TableRow { line, cells: cells(text) }).collect())
}

fn cells(line: &str) -> Vec<String> {
    let Some(inside) = line.trim().strip_prefix('|').and_then(|rest| rest.strip_suffix('|')) else {
        return Vec::new();
    };
    inside.split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// The names written as code in a cell.
pub(super) fn code_names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// What links to a heading put after `#`.
pub(super) fn anchors(file: &TextFile) -> Vec<String> {
    let headings = prose(file).filter_map(|(_, line)| {
        let text = line.trim_start_matches('#');
        (text.len() < line.len()).then(|| text.strip_prefix(' ')).flatten()
    });
    headings.map(anchor).collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> TextFile {
        TextFile { path: "a.md".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_table_is_found_by_its_header() {
        let file =
            file("| A | C |\n|---|---|\n| x | y |\n\n| A | B |\n|---|---|\n| `a` and `b` | c |\n\nend\n");
        let rows = table(&file, &["A", "B"]).unwrap();
        assert_eq!(rows, [TableRow { line: 7, cells: vec!["`a` and `b`".to_owned(), "c".to_owned()] }]);
        assert_eq!(code_names(&rows[0].cells[0]), ["a", "b"]);
        assert_eq!(table(&file, &["B", "A"]), None);
    }

    #[test]
    fn code_blocks_are_no_prose() {
        let lines: Vec<usize> = prose(&file("a\n```text\nb\n```\nc\n")).map(|(number, _)| number).collect();
        assert_eq!(lines, [1, 5]);
    }

    #[test]
    fn an_anchor_is_made_as_the_web_page_makes_it() {
        let file = file("# Why one `writer`, and no timers?\n#no heading\n## A_b-c\n");
        assert_eq!(anchors(&file), ["why-one-writer-and-no-timers", "a_b-c"]);
    }
}
