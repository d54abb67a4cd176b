//! Rules for SQL files: one statement a file, named `<verb>_<noun>.sql`. Migrations have rules of their own.

use super::Finding;
use crate::repository::TextFile;

pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_statement = |file: &&TextFile| file.path.ends_with(".sql") && !file.path.contains("/migrations/");
    for file in files.iter().filter(is_statement) {
        let stem = file.name().trim_end_matches(".sql");
        let words = stem.split('_').filter(|word| !word.is_empty()).count();
        let plain =
            stem.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if words < 2 || !plain {
            findings.push(Finding::new(file, 1, "named <verb>_<noun>.sql, in lower case"));
        }
        let starts = statement_starts(&file.text);
        match starts.as_slice() {
            [_] => {}
            [] => findings.push(Finding::new(file, 1, "holds no statement")),
            [_, second, ..] => findings.push(Finding::new(file, *second, "one statement a file")),
        }
    }
    findings
}

/// The line each statement starts in.
fn statement_starts(text: &str) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut line = 1;
    let mut in_statement = false;
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            // A doubled quote inside reads as two literals beside each other, which changes nothing here.
            '\'' | '"' => rest[1..].find(next).map_or(rest.len(), |end| end + 2),
            '$' => dollar_quoted_length(rest).unwrap_or(1),
            _ => next.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        let comment = token.starts_with("--") || token.starts_with("/*");
        if next == ';' {
            in_statement = false;
        } else if !comment && !next.is_whitespace() && !in_statement {
            in_statement = true;
            starts.push(line);
        }
        line += token.matches('\n').count();
        rest = after;
    }
    starts
}

/// The length of a text in dollars, such as `$$ … $$` or `$body$ … $body$`; `None` of a parameter.
fn dollar_quoted_length(rest: &str) -> Option<usize> {
    let tag_length = rest[1..].find(|c: char| !c.is_alphanumeric() && c != '_')? + 2;
    let tag = rest.get(..tag_length).filter(|tag| tag.ends_with('$'))?;
    if tag[1..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Some(rest[tag_length..].find(tag).map_or(rest.len(), |end| tag_length + end + tag_length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<(String, usize)> {
        let files: Vec<TextFile> = files
            .iter()
            .map(|(path, text)| TextFile { path: (*path).to_owned(), text: (*text).to_owned() })
            .collect();
        check(&files).into_iter().map(|finding| (finding.path, finding.line)).collect()
    }

    #[test]
    fn a_second_statement_is_found_where_it_starts() {
        let path = "crates/a/src/sql/insert_event.sql";
        let one = "-- why; this\nSELECT ';', \"a;b\" /* ; */\nFROM t;\n-- end\n";
        assert_eq!(found(&[(path, one)]), []);
        assert_eq!(found(&[(path, "SELECT 1;\n\n-- then\nSELECT 'it''s; here';\n")]), [(path.to_owned(), 4)]);
        assert_eq!(found(&[(path, "-- nothing\n")]), [(path.to_owned(), 1)]);
        let body = "DO $$ BEGIN a; b; END $$;\nSELECT $1;\nSELECT $f$;$$;$f$ || $2 || '$'";
        assert_eq!(found(&[(path, body)]), [(path.to_owned(), 2)]);
    }

    #[test]
    fn a_file_is_named_by_verb_and_noun() {
        assert_eq!(found(&[("sql/events.sql", "SELECT 1")]).len(), 1);
        assert_eq!(found(&[("sql/Insert_event.sql", "SELECT 1")]).len(), 1);
        assert_eq!(found(&[("sql/insert_event.sql", "SELECT 1")]), []);
    }
}
