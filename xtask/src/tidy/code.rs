//! Rust source without its comments and literals, so that a rule about code meets code alone.

/// The source with every comment, string and character replaced by blanks; lines stay where they are.
pub(super) fn code_only(source: &str) -> String {
    let mut reader = Reader { rest: source, before: ' ', code: String::with_capacity(source.len()) };
    while let Some(next) = reader.rest.chars().next() {
        match reader.blank_length() {
            Some(length) => reader.blank(length),
            None => reader.keep(next),
        }
    }
    reader.code
}

struct Reader<'a> {
    rest: &'a str,
    before: char,
    code: String,
}

impl Reader<'_> {
    fn keep(&mut self, next: char) {
        self.code.push(next);
        self.before = next;
        self.rest = &self.rest[next.len_utf8()..];
    }

    fn blank(&mut self, length: usize) {
        let (blanked, rest) = self.rest.split_at(length);
        self.code.extend(blanked.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        self.before = ' ';
        self.rest = rest;
    }

    /// How many bytes from here are a comment or a literal; `None` where code goes on.
    fn blank_length(&self) -> Option<usize> {
        let rest = self.rest;
        if rest.starts_with("//") {
            return Some(rest.find('\n').unwrap_or(rest.len()));
        }
        if rest.starts_with("/*") {
            return Some(block_comment_length(rest));
        }
        if rest.starts_with('"') {
            return Some(quoted_length(rest, '"'));
        }
        if rest.starts_with('\'') {
            return is_character(rest).then(|| quoted_length(rest, '\''));
        }
        let in_word = self.before.is_alphanumeric() || self.before == '_';
        if in_word { None } else { raw_string_length(rest) }
    }
}

fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest[at..];
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn quoted_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Whether a `'` begins a character, not a lifetime.
fn is_character(rest: &str) -> bool {
    let mut after = rest.chars().skip(1);
    match (after.next(), after.next()) {
        (Some('\\'), _) => true,
        (Some(_), second) => second == Some('\''),
        (None, _) => false,
    }
}

fn raw_string_length(rest: &str) -> Option<usize> {
    let start = ["r", "br", "cr"].into_iter().find(|start| {
        let after = rest.strip_prefix(start).map(|after| after.trim_start_matches('#'));
        after.is_some_and(|after| after.starts_with('"'))
    })?;
    let hashes = rest[start.len()..].find('"')?;
    let body = start.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code with runs of blanks as one.
    fn words(source: &str) -> String {
        code_only(source).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_are_blanked() {
        assert_eq!(words("a /* b /* c */ d */ e // f\ng /// h"), "a e g");
    }

    #[test]
    fn literals_are_blanked() {
        assert_eq!(words(r#"a("b \" c", 'd', '\'', b"e") f"#), "a( , , , b ) f");
        assert_eq!(words(r###"a(r"b\", r#"c " d"#, br##"e"# f"##) g"###), "a( , , ) g");
    }

    #[test]
    fn lifetimes_and_raw_names_are_code() {
        assert_eq!(words("fn a<'a>(b: &'a str, r#c: D) {}"), "fn a<'a>(b: &'a str, r#c: D) {}");
    }

    #[test]
    fn lines_stay_where_they_are() {
        let source = "a\n/* b\nc */ \"d\ne\"\nf ä 'ß'\n";
        assert_eq!(code_only(source).lines().count(), source.lines().count());
        assert_eq!(code_only(source).lines().last(), Some("f ä    "));
    }

    #[test]
    fn what_never_ends_is_blanked_to_the_end() {
        for source in ["a \"b", "a /* b", "a r#\"b\"", "a '\\"] {
            assert_eq!(words(source), "a", "{source:?}");
        }
    }
}
