//! The list of exceptions, in a page of the documentation.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::rule::{Finding, Rule};
use super::settings::{Exception, Settings};
use crate::Failure;

/// What stands around the list.
const BEGIN: &str = "<!-- underlay-lint: begin of the exceptions -->";
const END: &str = "<!-- underlay-lint: end of the exceptions -->";

/// Writes the list into a page. A page that is not there is made; what stands around the list stays.
pub(crate) fn write(path: &Path, settings: &Settings) -> Result<(), Failure> {
    let shown = path.display();
    let page = match fs::read_to_string(path) {
        Ok(page) => page,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            format!("# Exceptions from the rules of the lint\n\n{BEGIN}\n{END}\n")
        }
        Err(error) => return Err(Failure::wrong(format!("{shown} cannot be read: {error}"))),
    };
    let Parts { before, after, .. } =
        parts(&page).map_err(|told| Failure::wrong(format!("{shown}: {told}")))?;
    let list = list(settings);
    let written = format!("{before}{BEGIN}{list}{END}{after}");
    fs::write(path, written).map_err(|error| Failure::wrong(format!("{shown} cannot be written: {error}")))
}

/// Compares the list in a page with the settings.
pub(crate) fn compare(path: &Path, file: String, settings: &Settings) -> Result<Option<Finding>, Failure> {
    let shown = path.display();
    let page = fs::read_to_string(path)
        .map_err(|error| Failure::wrong(format!("{shown} cannot be read: {error}")))?;
    let Parts { before, list: there, .. } =
        parts(&page).map_err(|told| Failure::wrong(format!("{shown}: {told}")))?;
    // A checkout may have other ends of lines.
    if there.replace("\r\n", "\n") == list(settings) {
        return Ok(None);
    }
    let line = before.matches('\n').count() + 1;
    let what = format!("the list of exceptions is not what {} says", settings.file);
    Ok(Some(Finding { file, line, column: 1, rule: Rule::PageDiffers, what }))
}

/// A page around and between the two signs.
struct Parts<'a> {
    before: &'a str,
    list: &'a str,
    after: &'a str,
}

fn parts(page: &str) -> Result<Parts<'_>, String> {
    let two =
        || format!("has not {BEGIN} and {END} once each, in this order; the list is written between them");
    let is_once = |sign: &str| page.matches(sign).count() == 1;
    if !is_once(BEGIN) || !is_once(END) {
        return Err(two());
    }
    let (before, rest) = page.split_once(BEGIN).ok_or_else(two)?;
    let (list, after) = rest.split_once(END).ok_or_else(two)?;
    Ok(Parts { before, list, after })
}

/// The list, with the line after the first sign.
fn list(settings: &Settings) -> String {
    let mut exceptions: Vec<&Exception> = settings.exceptions.iter().collect();
    exceptions.sort_by(|a, b| (&a.file, a.rule.name()).cmp(&(&b.file, b.rule.name())));
    if exceptions.is_empty() {
        return "\n\nThere are no exceptions.\n\n".to_owned();
    }
    let mut list = String::from(
        "\n\n| File | Rule | Reason | Approved by | Until | Test |\n|---|---|---|---|---|---|\n",
    );
    for Exception { file, rule, reason, approved_by, until, test, .. } in exceptions {
        let [reason, approved_by] = [reason, approved_by].map(|text| cell(text));
        list += &format!("| `{file}` | `{rule}` | {reason} | {approved_by} | {until} | `{test}` |\n");
    }
    list + "\n"
}

/// A text in a cell of a table: on one line, and with no sign that would end the cell or begin HTML.
fn cell(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace('\\', "\\\\").replace('|', "\\|").replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_each_sign_once() {
        assert!(parts(&format!("a{BEGIN}b{END}c")).is_ok());
        for page in [String::new(), BEGIN.to_owned(), format!("{END}{BEGIN}"), format!("{BEGIN}{BEGIN}{END}")]
        {
            assert!(parts(&page).is_err(), "{page}");
        }
    }

    #[test]
    fn what_a_person_writes_stays_in_its_cell() {
        assert_eq!(cell("a | b\n<!-- c -->"), "a \\| b &lt;!-- c -->");
    }
}
