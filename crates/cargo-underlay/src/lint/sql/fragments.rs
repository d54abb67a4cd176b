//! Parts of statements that code puts together. They are known by keywords in capitals alone.

use super::Query;
use super::prose::{has_comparison, has_sign, is_prose};
use super::token::{Token, Tokens};

/// Whether this is such a part.
pub(super) fn fragment(mut tokens: Tokens<'_>) -> Query {
    tokens.sign(',');
    tokens.sign(')');
    if !tokens.is_upper() {
        return Query::No;
    }
    let word = tokens.peek().unwrap_or_default();
    let before = tokens;
    tokens.skip();
    let is_one = match word.as_str() {
        "WHERE" | "HAVING" => has_comparison(tokens.rest()) && !is_prose(tokens.rest()),
        "AND" | "OR" => {
            let mut column = tokens;
            column.name()
                && has_comparison(&column.rest()[..column.rest().len().min(2)])
                && !is_prose(tokens.rest())
        }
        "ORDER" | "GROUP" => tokens.word(&["BY"]) && names_columns(tokens),
        "LEFT" | "RIGHT" | "FULL" | "INNER" | "CROSS" | "NATURAL" => {
            tokens.word(&["OUTER"]);
            tokens.word(&["JOIN"]) && tokens.name()
        }
        "JOIN" => {
            tokens.name() && (tokens.is(&["ON", "USING"]) || tokens.name() && tokens.is(&["ON", "USING"]))
        }
        "ON" => tokens.words(&["CONFLICT"]) && (tokens.is_sign('(') || tokens.is(&["DO", "ON"])),
        "FOR" => {
            let locks = tokens.words(&["NO", "KEY", "UPDATE"]) || tokens.word(&["UPDATE", "SHARE"]);
            locks && (tokens.is_end() || tokens.is(&["SKIP", "NOWAIT", "OF"]))
        }
        "SKIP" => tokens.word(&["LOCKED"]) && tokens.is_end(),
        "RETURNING" => names_columns(tokens),
        "LIMIT" | "OFFSET" => {
            let is_counted = matches!(tokens.first(), Some(Token::Number | Token::Place));
            tokens.skip();
            is_counted && (tokens.is_end() || tokens.is(&["OFFSET", "FOR"]) || tokens.is_sign(')'))
        }
        "UNION" | "EXCEPT" | "INTERSECT" => {
            tokens.word(&["ALL"]);
            tokens.is(&["SELECT", "VALUES"])
        }
        "FROM" => {
            tokens.name()
                && tokens.is(&["WHERE", "JOIN", "LEFT", "INNER", "ORDER", "GROUP"])
                && has_sign(before.rest())
        }
        "SET" => tokens.name() && tokens.sign('=') && matches!(tokens.first(), Some(Token::Place)),
        _ => false,
    };
    if is_one { Query::Surely } else { Query::No }
}

/// Whether only names of columns follow, as they stand after `ORDER BY`. A word in capitals is none.
fn names_columns(mut tokens: Tokens<'_>) -> bool {
    if is_prose(tokens.rest()) {
        return false;
    }
    let is_shouted = tokens.is_upper();
    let is_column = tokens.sign('*') || tokens.name();
    tokens.parentheses();
    is_column && !is_shouted
}
