//! What a page tells its reader to do.

/// One thing to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// Make a file, or replace all of it.
    Write { path: String, text: String },
    /// Add to the end of a file.
    Append { path: String, text: String },
    /// Put the text in the place of what `source`, a region of a file of this repository, has put there.
    Replace { path: String, source: String, text: String },
    /// Run a command, and see this answer.
    Run { line: usize, command: String, answer: String },
}

/// The sections of a page by their headings, each with its steps.
pub(crate) fn sections(page: &str) -> Vec<(String, Vec<Step>)> {
    let mut sections = vec![(String::new(), Vec::new())];
    let mut lines = (1..).zip(page.lines());
    let mut told = None;
    while let Some((number, line)) = lines.next() {
        if let Some(heading) = line.strip_prefix("## ") {
            sections.push((heading.to_owned(), Vec::new()));
        } else if let Some(comment) = line.strip_prefix("<!-- snippet: ") {
            told = comment.trim_end_matches(" -->").split_once("; ").map(|(_, told)| told);
        } else if let Some(language) = line.strip_prefix("```") {
            let block: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            let steps = &mut sections.last_mut().expect("there is one from the start").1;
            match (language, told.take()) {
                ("console", _) => steps.extend(commands(number, &block)),
                (_, Some(told)) => steps.push(change(told, block.join("\n") + "\n")),
                (language, None) => panic!("line {number}: a block of {language} that nobody can follow"),
            }
        }
    }
    sections
}

fn change(told: &str, text: String) -> Step {
    match told.split(' ').collect::<Vec<_>>().as_slice() {
        ["write", path] => Step::Write { path: (*path).to_owned(), text },
        ["append", path] => Step::Append { path: (*path).to_owned(), text },
        ["replace", path, source] => {
            Step::Replace { path: (*path).to_owned(), source: (*source).to_owned(), text }
        }
        _ => panic!("nobody can follow {told:?}"),
    }
}

fn commands(number: usize, block: &[&str]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (line, text) in (number + 1..).zip(block) {
        match (text.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => {
                steps.push(Step::Run { line, command: command.to_owned(), answer: String::new() });
            }
            (None, Some(Step::Run { answer, .. })) => *answer += &format!("{text}\n"),
            (None, _) => panic!("line {line}: an answer without a command"),
        }
    }
    steps
}

/// Whether a text is the one that was shown, in which `…` stands for anything.
pub(crate) fn fits(text: &str, shown: &str) -> bool {
    let (text, shown) = (text.trim_end(), shown.trim_end());
    let mut parts = shown.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn what_is_left_out_stands_for_anything() {
    for (text, shown, expected) in [
        ("a b c", "a b c\n", true),
        ("a b c", "a … c", true),
        ("a b c d", "a … c", false),
        ("a b c", "…", true),
        ("a b c", "… b …", true),
        ("a b c", "b …", false),
        ("a b", "a b c", false),
    ] {
        assert_eq!(fits(text, shown), expected, "{text:?} as {shown:?}");
    }
}
