//! What a command answers: a table for people, or JSON for programs.
//!
//! For programs every line is one JSON object: of a list each line is one of its things, and of anything else there is one line. So a
//! list of any length is read as it comes, and `jq` reads all of them alike.
//!
//! For people a table is as wide as the terminal: what is longest is cut first, and what is short, as an id or a time, stays whole. Where
//! the answer goes to a file or to another program nothing is cut. What a terminal would take for an order of its own is written out.

use std::io::{self, StdoutLock, Write};

use console::{Term, measure_text_width, truncate_str};

use crate::ExitError;

/// Columns of a terminal that a cell may always have: ids and times are shorter.
const CELL_WIDTH_KEPT: usize = 40;
/// What stands in the place of what was cut.
const ELLIPSIS: &str = "…";

/// Standard output for people.
pub(super) fn out() -> ForPeople<StdoutLock<'static>> {
    ForPeople(io::stdout().lock())
}

/// Writes lines in which nothing moves a cursor or changes a colour, whatever of what is stored stands in them.
pub(super) struct ForPeople<W>(pub(super) W);

impl<W: Write> Write for ForPeople<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        for (number, line) in String::from_utf8_lossy(text).split('\n').enumerate() {
            if number > 0 {
                self.0.write_all(b"\n")?;
            }
            self.0.write_all(one_line(line).as_bytes())?;
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes one JSON value on a line of its own.
pub(super) fn print_json(value: &(impl serde::Serialize + ?Sized)) -> Result<(), ExitError> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    Ok(writeln!(out)?)
}

/// Writes each thing of a list on a line of its own.
pub(super) fn print_list<T: serde::Serialize>(list: impl IntoIterator<Item = T>) -> Result<(), ExitError> {
    list.into_iter().try_for_each(|value| print_json(&value))
}

/// A cell of a table.
pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Writes a table for people: a line of headings, then the rows.
pub(super) fn print_table(headings: &[&str], rows: Vec<Vec<String>>) -> Result<(), ExitError> {
    Ok(writeln!(io::stdout().lock(), "{}", table(headings, rows, terminal_width()))?)
}

/// The columns of the terminal that the answer goes to; none where it goes elsewhere.
pub(super) fn terminal_width() -> Option<usize> {
    Term::stdout().size_checked().map(|(_, columns)| usize::from(columns)).filter(|columns| *columns > 0)
}

fn table(headings: &[&str], rows: Vec<Vec<String>>, width: Option<usize>) -> String {
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
    let widths: Vec<usize> = (0..headings.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| measure_text_width(cell));
            cells.chain([measure_text_width(headings[column])]).max().unwrap_or_default()
        })
        .collect();
    let most = width.map_or(usize::MAX, |width| cell_width(&widths, width));
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(headings);
    table.add_rows(
        rows.iter().map(|row| row.iter().map(|cell| truncate_str(cell, most, ELLIPSIS)).collect::<Vec<_>>()),
    );
    table.trim_fmt()
}

/// How wide a cell may be so that rows fit a terminal; no less than what is always kept.
fn cell_width(widths: &[usize], terminal: usize) -> usize {
    // A blank stands on both sides of a cell; that at the end of a row is trimmed.
    let room = terminal.saturating_sub((2 * widths.len()).saturating_sub(1));
    let fits = |most: usize| widths.iter().map(|width| (*width).min(most)).sum::<usize>() <= room;
    let longest = widths.iter().copied().max().unwrap_or_default();
    (CELL_WIDTH_KEPT..=longest).rev().find(|most| fits(*most)).unwrap_or(CELL_WIDTH_KEPT)
}

/// A text on one line, in which nothing moves a cursor or changes a colour.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0190a5c1-7f4e-7cc3-98c4-dc0c0c07398f";

    fn rows(payload: &str) -> Vec<Vec<String>> {
        vec![vec![ID.to_owned(), "short".to_owned(), payload.to_owned()]]
    }

    #[test]
    fn what_is_longest_is_cut_until_a_row_fits() {
        let payload = "x".repeat(200);
        let told = table(&["id", "type", "payload"], rows(&payload), Some(100));
        for line in told.lines() {
            assert!(measure_text_width(line) <= 100, "{line}");
        }
        assert!(told.contains(ID) && told.contains("short") && told.contains('…'), "{told}");
        let row = told.lines().nth(1).unwrap();
        assert!(measure_text_width(row) >= 99, "no room is given away: {row}");
    }

    #[test]
    fn ids_stay_whole_in_any_terminal_and_all_where_there_is_none() {
        let payload = "x".repeat(200);
        let told = table(&["id", "type", "payload"], rows(&payload), Some(20));
        assert!(
            told.contains(ID) && told.contains(&format!("{}…", "x".repeat(CELL_WIDTH_KEPT - 1))),
            "{told}"
        );
        let told = table(&["id", "type", "payload"], rows(&payload), None);
        assert!(told.contains(&payload) && !told.contains('…'), "{told}");
    }

    #[test]
    fn wide_characters_are_as_wide_as_a_terminal_shows_them() {
        let told = table(&["id", "type", "payload"], rows(&"水".repeat(100)), Some(100));
        for line in told.lines() {
            assert!(measure_text_width(line) <= 100, "{line}");
        }
    }

    #[test]
    fn what_is_stored_gives_a_terminal_no_orders() {
        let told = table(&["name"], vec![vec!["a\nb\u{1b}[31m\u{9b}2J\tc".to_owned()]], Some(80));
        assert_eq!(told.lines().count(), 2, "{told}");
        assert!(!told.contains(['\u{1b}', '\u{9b}', '\t']), "{told:?}");
        assert!(told.contains(r"a\nb\u{1b}[31m\u{9b}2J\tc"), "{told}");
        let mut lines = ForPeople(Vec::new());
        let (by, why) = ("ann\u{1b}[2J", "水\u{9b}\u{7f}");
        writeln!(lines, "verified for {by}\nand {why}").unwrap();
        let told = String::from_utf8(lines.0).unwrap();
        assert_eq!(told, "verified for ann\\u{1b}[2J\nand 水\\u{9b}\\u{7f}\n");
    }

    #[test]
    fn a_table_without_rows_is_its_headings() {
        assert_eq!(table(&["id", "type"], Vec::new(), Some(80)).trim(), "id  type");
    }
}
