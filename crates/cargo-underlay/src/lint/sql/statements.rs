//! Statements that read and write rows.

use super::Query;
use super::prose::{has_comparison, has_sign, is_prose};
use super::token::{Token, Tokens};

/// What may follow the table of a `SELECT`.
const CLAUSES: &[&str] = &[
    "AS",
    "CROSS",
    "EXCEPT",
    "FETCH",
    "FOR",
    "FULL",
    "GROUP",
    "HAVING",
    "INNER",
    "INTERSECT",
    "JOIN",
    "LEFT",
    "LIMIT",
    "NATURAL",
    "OFFSET",
    "ON",
    "ORDER",
    "RIGHT",
    "TABLESAMPLE",
    "UNION",
    "USING",
    "WHERE",
    "WINDOW",
];

/// Whether this is such a statement.
pub(super) fn statement(mut tokens: Tokens<'_>) -> Query {
    while tokens.sign('(') {}
    let is_upper = tokens.is_upper();
    match tokens.peek().as_deref() {
        Some("SELECT") => select(tokens, is_upper),
        Some("INSERT" | "REPLACE") => insert(tokens, is_upper),
        Some("UPDATE") => update(tokens, is_upper),
        Some("DELETE") => delete(tokens, is_upper),
        Some("MERGE") => merge(tokens, is_upper),
        Some("WITH") => with(tokens),
        Some("VALUES") => values(tokens, is_upper),
        Some("EXPLAIN") => explain(tokens),
        _ => Query::No,
    }
}

/// Surely where it is so, and else where its surroundings say so.
fn surely_where(is_sure: bool) -> Query {
    if is_sure { Query::Surely } else { Query::Possibly }
}

fn select(mut tokens: Tokens<'_>, is_upper: bool) -> Query {
    tokens.skip();
    if tokens.is_end() || is_prose(tokens.rest()) {
        return Query::No;
    }
    let list = tokens;
    tokens.words(&["DISTINCT"]);
    if !tokens.is_end() && !passes_list(&mut tokens) {
        return Query::No;
    }
    if tokens.is_end() {
        return without_table(list, is_upper);
    }
    let is_upper = is_upper && tokens.is_upper();
    tokens.skip();
    if !is_table(&mut tokens) {
        return Query::No;
    }
    let rest = tokens;
    if rest.is(&["WHERE"]) && !is_upper && !has_comparison(rest.rest()) {
        return Query::No;
    }
    surely_where(is_upper || has_sign(list.rest()) || rest.is(&["GROUP", "ORDER", "JOIN", "UNION", "LIMIT"]))
}

/// Passes over what is selected, up to `FROM` or the end; `false` where it is no list.
fn passes_list(tokens: &mut Tokens<'_>) -> bool {
    let mut is_item = false;
    while let Some(token) = tokens.first() {
        match token {
            Token::Word(_) if tokens.is(&["FROM"]) => return is_item,
            Token::Word(_) if tokens.is(&["INTO", "WHERE", "TO", "OF", "WITH"]) && !is_item => return false,
            Token::Sign('(') => {
                tokens.parentheses();
                is_item = true;
            }
            Token::Sign(',') => {
                if !is_item {
                    return false;
                }
                is_item = false;
                tokens.skip();
            }
            Token::Sign('[') if !is_item => return false,
            _ => {
                is_item = true;
                tokens.skip();
            }
        }
    }
    true
}

/// Takes the first table and its alias; `false` where what follows belongs to no statement.
fn is_table(tokens: &mut Tokens<'_>) -> bool {
    tokens.word(&["ONLY", "LATERAL"]);
    if !tokens.parentheses() && !tokens.name() {
        return false;
    }
    tokens.parentheses();
    tokens.word(&["AS"]);
    tokens.name();
    tokens.is_end()
        || tokens.is(CLAUSES)
        || matches!(tokens.first(), Some(Token::Sign(',' | ';' | ')') | Token::Place))
}

/// A `SELECT` without a table: of values, of functions.
fn without_table(list: Tokens<'_>, is_upper: bool) -> Query {
    let mut rest = list;
    let function = match rest.first() {
        Some(Token::Number | Token::Text | Token::Place | Token::Sign('*')) => return surely_where(is_upper),
        Some(Token::Word(word)) => word.clone(),
        _ => return Query::No,
    };
    rest.skip();
    rest.words(&["NOT"]);
    if rest.parentheses() {
        let is_known = function.contains('_')
            || ["count", "now", "exists", "version", "max", "min", "sum"]
                .contains(&function.to_lowercase().as_str());
        return surely_where(is_upper || is_known);
    }
    // Part of a statement that is put together, or no statement.
    if is_upper && (rest.is_end() || rest.is_sign(',')) { Query::Possibly } else { Query::No }
}

fn insert(mut tokens: Tokens<'_>, is_upper: bool) -> Query {
    tokens.skip();
    if tokens.word(&["OR"]) {
        tokens.skip();
    }
    tokens.word(&["IGNORE"]);
    if !tokens.word(&["INTO"]) || is_prose(tokens.rest().get(..3).unwrap_or(tokens.rest())) || !tokens.name()
    {
        return Query::No;
    }
    tokens.word(&["AS"]);
    tokens.name();
    match tokens.first() {
        None => surely_where(is_upper),
        Some(Token::Sign('(') | Token::Place) => Query::Surely,
        _ if tokens.is(&["VALUES", "SELECT", "DEFAULT", "WITH"]) => Query::Surely,
        _ => Query::No,
    }
}

fn update(mut tokens: Tokens<'_>, is_upper: bool) -> Query {
    tokens.skip();
    if tokens.word(&["OR"]) {
        tokens.skip();
    }
    tokens.word(&["ONLY"]);
    if !tokens.name() {
        return Query::No;
    }
    if tokens.is_end() {
        return if is_upper { Query::Possibly } else { Query::No };
    }
    tokens.word(&["AS"]);
    tokens.name();
    if !tokens.word(&["SET"]) {
        return Query::No;
    }
    if tokens.is_end() {
        return surely_where(is_upper);
    }
    let is_assigned = tokens.parentheses() || tokens.name();
    if is_assigned && (tokens.is_sign('=') || tokens.is_end() && is_upper) {
        Query::Surely
    } else {
        Query::No
    }
}

fn delete(mut tokens: Tokens<'_>, is_upper: bool) -> Query {
    tokens.skip();
    if !tokens.word(&["FROM"]) || is_prose(tokens.rest()) {
        return Query::No;
    }
    tokens.word(&["ONLY"]);
    if !tokens.name() {
        return Query::No;
    }
    tokens.word(&["AS"]);
    tokens.name();
    match tokens.first() {
        None => surely_where(is_upper),
        Some(Token::Sign(';') | Token::Place) => Query::Surely,
        _ if tokens.is(&["WHERE", "USING", "RETURNING"]) => {
            if is_upper || has_comparison(tokens.rest()) {
                Query::Surely
            } else {
                Query::No
            }
        }
        _ => Query::No,
    }
}

fn merge(mut tokens: Tokens<'_>, is_upper: bool) -> Query {
    tokens.skip();
    if !tokens.word(&["INTO"]) || !tokens.name() {
        return Query::No;
    }
    tokens.word(&["AS"]);
    tokens.name();
    match tokens.is(&["USING"]) {
        true => surely_where(is_upper || has_sign(tokens.rest())),
        false => Query::No,
    }
}

fn with(mut tokens: Tokens<'_>) -> Query {
    tokens.skip();
    tokens.word(&["RECURSIVE"]);
    if !tokens.name() {
        return Query::No;
    }
    tokens.parentheses();
    if !tokens.word(&["AS"]) {
        return Query::No;
    }
    tokens.word(&["NOT"]);
    tokens.word(&["MATERIALIZED"]);
    if !tokens.sign('(') {
        return Query::No;
    }
    match tokens.is(&["SELECT", "INSERT", "UPDATE", "DELETE", "VALUES", "WITH"])
        || tokens.first() == Some(&Token::Place)
    {
        true => Query::Surely,
        false => Query::No,
    }
}

fn values(mut tokens: Tokens<'_>, is_upper: bool) -> Query {
    tokens.skip();
    if is_upper && (tokens.is_sign('(') || tokens.first() == Some(&Token::Place)) {
        Query::Surely
    } else {
        Query::No
    }
}

fn explain(mut tokens: Tokens<'_>) -> Query {
    tokens.skip();
    tokens.parentheses();
    while tokens.word(&["ANALYZE", "VERBOSE", "QUERY", "PLAN"]) {}
    // `EXPLAIN` before `EXPLAIN` is no statement, and is not followed.
    if tokens.is(&["EXPLAIN"]) { Query::No } else { statement(tokens) }
}
