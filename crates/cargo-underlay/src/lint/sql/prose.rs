//! What tells prose from statements.

use super::token::Token;

/// Words that no table and no column has without quotes.
const RESERVED: &[&str] = &[
    "ALL",
    "ALTER",
    "AND",
    "ANY",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CREATE",
    "CROSS",
    "DELETE",
    "DESC",
    "DISTINCT",
    "DROP",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "FETCH",
    "FOR",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTO",
    "IS",
    "JOIN",
    "LATERAL",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NATURAL",
    "NOT",
    "NULL",
    "OF",
    "OFFSET",
    "ON",
    "ONLY",
    "OR",
    "ORDER",
    "OUTER",
    "RETURNING",
    "RIGHT",
    "SELECT",
    "SET",
    "THEN",
    "TO",
    "UNION",
    "UPDATE",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
];

/// Words of statements that stand beside other words.
const KEYWORDS: &[&str] = &[
    "ACTION",
    "ALWAYS",
    "ARRAY",
    "AT",
    "BOTH",
    "CAST",
    "COLLATE",
    "CONFLICT",
    "CURRENT",
    "DATE",
    "DEFAULT",
    "DO",
    "EXTRACT",
    "FALSE",
    "FILTER",
    "FIRST",
    "FOLLOWING",
    "GLOB",
    "INTERVAL",
    "LAST",
    "LOCKED",
    "MATERIALIZED",
    "NEXT",
    "NOTHING",
    "NOWAIT",
    "NULLS",
    "OVER",
    "OVERLAPS",
    "PARTITION",
    "PRECEDING",
    "RANGE",
    "RECURSIVE",
    "REPLACE",
    "ROW",
    "ROWS",
    "SHARE",
    "SIMILAR",
    "SKIP",
    "SOME",
    "TABLE",
    "TIME",
    "TIMESTAMP",
    "TRUE",
    "UNBOUNDED",
    "ZONE",
];

/// Words of English that stand before others, and name no table.
const ARTICLES: &[&str] = &[
    "A", "AN", "ANOTHER", "EACH", "EVERY", "HER", "HIS", "ITS", "MORE", "MY", "ONE", "OTHER", "OUR", "SOME",
    "SUCH", "THAT", "THE", "THEIR", "THESE", "THIS", "THOSE", "WHICH", "YOUR",
];

/// Words side by side that are neither keywords nor names for a column: three of them are a sentence.
const PLAIN_WORDS_MAX: usize = 2;

pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word.to_uppercase().as_str())
}

fn is_keyword(word: &str) -> bool {
    let word = word.to_uppercase();
    RESERVED.contains(&word.as_str()) || KEYWORDS.contains(&word.as_str())
}

/// Whether pieces read like a sentence: words beside words, an article, the end of a sentence.
pub(super) fn is_prose(tokens: &[Token]) -> bool {
    let mut plain = 0;
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1);
        plain = match token {
            Token::Word(word) if !is_keyword(word) => plain + 1,
            _ => 0,
        };
        let is_article = matches!((token, next), (Token::Word(word), Some(Token::Word(next)))
            if ARTICLES.contains(&word.to_uppercase().as_str()) && !is_keyword(next));
        let ends = matches!((token, next), (Token::Sign('.' | '!' | '…'), None));
        if plain > PLAIN_WORDS_MAX || is_article || ends {
            return true;
        }
    }
    false
}

/// Whether there is a sign of a statement that prose has not.
pub(super) fn has_sign(tokens: &[Token]) -> bool {
    let mut signs = tokens.iter().enumerate();
    signs.any(|(at, token)| match token {
        Token::Place | Token::Name | Token::Sign('*' | '=' | '<' | '>' | ';') => true,
        Token::Word(word) => word.contains('_'),
        Token::Sign('.') => matches!(tokens.get(at + 1), Some(Token::Word(_))) && at > 0,
        Token::Sign('(') => matches!(tokens.get(at.wrapping_sub(1)), Some(Token::Word(_))),
        Token::Number | Token::Text | Token::Sign(_) => false,
    })
}

/// Whether a comparison stands among the first pieces.
pub(super) fn has_comparison(tokens: &[Token]) -> bool {
    tokens.iter().take(12).any(|token| match token {
        Token::Sign('=' | '<' | '>') => true,
        Token::Word(word) => {
            ["IN", "IS", "LIKE", "ILIKE", "BETWEEN", "EXISTS"].contains(&word.to_uppercase().as_str())
        }
        _ => false,
    })
}
