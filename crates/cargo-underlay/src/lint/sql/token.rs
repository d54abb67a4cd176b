/// A piece of a text, as SQL has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    Number,
    /// A text between single quotes, or between dollars.
    Text,
    /// A name between double quotes, backticks or brackets.
    Name,
    /// A value or a name that is put in later: `$1`, `?`, `:id`, `@id`, `%s`, `{table}`.
    Place,
    Sign(char),
}

/// Pieces that are read of a text at most: a statement shows what it is at its beginning.
const TOKENS_MAX: usize = 400;

/// The pieces of a text, without its comments.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next().filter(|_| tokens.len() < TOKENS_MAX) {
        let (length, token) = next(rest, first);
        tokens.extend(token);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// The length of what a text begins with, and what it is; `None` of a comment.
fn next(rest: &str, first: char) -> (usize, Option<Token>) {
    let word = |from: usize| rest[from..].find(|c: char| !is_in_word(c)).map_or(rest.len(), |at| from + at);
    let until =
        |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    match first {
        '-' if rest.starts_with("--") => (until("\n", 2), None),
        '/' if rest.starts_with("/*") => (until("*/", 2), None),
        '\'' => (until("'", 1), Some(Token::Text)),
        '"' => (until("\"", 1), Some(Token::Name)),
        '`' => (until("`", 1), Some(Token::Name)),
        '{' => (until("}", 1), Some(Token::Place)),
        '$' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => (word(1), Some(Token::Place)),
        '$' => match rest[1..].find('$') {
            Some(at) if rest[1..=at].chars().all(is_in_word) => {
                (until(&rest[..at + 2], at + 2), Some(Token::Text))
            }
            _ => (1, Some(Token::Sign(first))),
        },
        '?' => (word(1), Some(Token::Place)),
        ':' if rest.starts_with("::") => (2, Some(Token::Sign(':'))),
        ':' | '@' if rest[1..].starts_with(|c: char| c.is_alphabetic() || c == '_') => {
            (word(1), Some(Token::Place))
        }
        '%' if rest[1..].starts_with('s') => (2, Some(Token::Place)),
        c if c.is_ascii_digit() => (number(rest), Some(Token::Number)),
        c if is_in_word(c) => (word(0), Some(Token::Word(rest[..word(0)].to_owned()))),
        c => (c.len_utf8(), Some(Token::Sign(c))),
    }
}

fn number(rest: &str) -> usize {
    rest.find(|c: char| !is_in_word(c) && c != '.').unwrap_or(rest.len())
}

fn is_in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What is left of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokens<'a> {
    rest: &'a [Token],
}

impl<'a> Tokens<'a> {
    pub(super) fn new(rest: &'a [Token]) -> Self {
        Self { rest }
    }

    pub(super) fn first(&self) -> Option<&'a Token> {
        self.rest.first()
    }

    pub(super) fn rest(&self) -> &'a [Token] {
        self.rest
    }

    pub(super) fn is_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn skip(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// The next piece as a word, in upper case.
    pub(super) fn peek(&self) -> Option<String> {
        match self.first()? {
            Token::Word(word) => Some(word.to_uppercase()),
            _ => None,
        }
    }

    pub(super) fn is_sign(&self, sign: char) -> bool {
        self.first() == Some(&Token::Sign(sign))
    }

    /// Takes a sign, where it is next.
    pub(super) fn sign(&mut self, sign: char) -> bool {
        let there = self.is_sign(sign);
        if there {
            self.skip();
        }
        there
    }

    pub(super) fn is(&self, words: &[&str]) -> bool {
        self.peek().is_some_and(|word| words.contains(&word.as_str()))
    }

    /// Takes one of the words, where it is next.
    pub(super) fn word(&mut self, words: &[&str]) -> bool {
        let there = self.is(words);
        if there {
            self.skip();
        }
        there
    }

    /// Takes the words in their order, or none of them.
    pub(super) fn words(&mut self, words: &[&str]) -> bool {
        let before = *self;
        let there = words.iter().all(|word| self.word(&[word]));
        if !there {
            *self = before;
        }
        there
    }

    /// Whether the next word is written in capitals.
    pub(super) fn is_upper(&self) -> bool {
        matches!(self.first(), Some(Token::Word(word)) if word.len() > 1 && !word.chars().any(char::is_lowercase))
    }

    /// Takes the name of a table or a column, with what stands before it: `a`, `"a"`, `{table}`, `a.b`.
    pub(super) fn name(&mut self) -> bool {
        let before = *self;
        if !self.name_part() {
            return false;
        }
        while self.sign('.') {
            if !self.name_part() && !self.sign('*') {
                *self = before;
                return false;
            }
        }
        true
    }

    fn name_part(&mut self) -> bool {
        let is_name = match self.first() {
            Some(Token::Word(word)) => !super::prose::is_reserved(word),
            Some(Token::Name | Token::Place) => true,
            _ => false,
        };
        if is_name {
            self.skip();
            // A part of a name may be put in: `orders_{year}`.
            if self.first() == Some(&Token::Place) {
                self.skip();
            }
        }
        is_name
    }

    /// Takes what stands between parentheses, where one opens.
    pub(super) fn parentheses(&mut self) -> bool {
        if !self.sign('(') {
            return false;
        }
        let mut depth = 1_usize;
        while depth > 0 && !self.is_end() {
            match self.first() {
                Some(Token::Sign('(')) => depth += 1,
                Some(Token::Sign(')')) => depth -= 1,
                _ => {}
            }
            self.skip();
        }
        true
    }
}
