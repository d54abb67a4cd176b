//! Statements about tables, rights, transactions and sessions.

use super::Query;
use super::prose::has_sign;
use super::token::{Token, Tokens};

/// Words before the kind of a thing that is made.
const BEFORE_KIND: &[&str] = &[
    "CONSTRAINT",
    "EVENT",
    "FOREIGN",
    "GLOBAL",
    "LOCAL",
    "MATERIALIZED",
    "RECURSIVE",
    "TEMP",
    "TEMPORARY",
    "UNIQUE",
    "UNLOGGED",
    "VIRTUAL",
];
const KINDS: &[&str] = &[
    "AGGREGATE",
    "COLLATION",
    "DATABASE",
    "DOMAIN",
    "EXTENSION",
    "FUNCTION",
    "INDEX",
    "POLICY",
    "PROCEDURE",
    "PUBLICATION",
    "ROLE",
    "ROUTINE",
    "SCHEMA",
    "SEQUENCE",
    "SUBSCRIPTION",
    "TABLE",
    "TABLESPACE",
    "TRIGGER",
    "TYPE",
    "USER",
    "VIEW",
];
/// What follows the name of a thing that is made.
const AFTER_NAME: &[&str] = &[
    "AFTER",
    "AS",
    "AUTHORIZATION",
    "BEFORE",
    "CASCADE",
    "CONNECTION",
    "ENCRYPTED",
    "FOR",
    "INCREMENT",
    "INHERITS",
    "INSTEAD",
    "LIKE",
    "LOCATION",
    "LOGIN",
    "NOLOGIN",
    "OF",
    "ON",
    "OWNER",
    "PARTITION",
    "PASSWORD",
    "RESTRICT",
    "RETURNS",
    "START",
    "STRICT",
    "SUPERUSER",
    "TABLESPACE",
    "TEMPLATE",
    "TO",
    "USING",
    "VERSION",
    "WITH",
    "WITHOUT",
];
/// What an `ALTER` does.
const CHANGES: &[&str] = &[
    "ADD", "ALTER", "ATTACH", "CLUSTER", "CREATEDB", "DETACH", "DISABLE", "DROP", "ENABLE", "FORCE",
    "INHERIT", "LOGIN", "NO", "NOLOGIN", "OWNER", "PASSWORD", "RENAME", "REPLICA", "RESET", "RESTART", "SET",
    "VALIDATE", "WITH",
];
const PRIVILEGES: &[&str] = &[
    "ALL", "CONNECT", "CREATE", "DELETE", "EXECUTE", "INSERT", "SELECT", "TRIGGER", "TRUNCATE", "UPDATE",
    "USAGE",
];

/// Whether this is such a statement.
pub(super) fn statement(tokens: Tokens<'_>) -> Query {
    let is_upper = tokens.is_upper();
    let mut rest = tokens;
    rest.skip();
    match tokens.peek().as_deref() {
        Some("CREATE") => create(rest, is_upper),
        Some("ALTER") => alter(rest, is_upper),
        Some("DROP") => drop_of(rest, is_upper),
        Some("TRUNCATE") => truncate(rest, is_upper),
        Some("GRANT" | "REVOKE") => grant(rest, is_upper),
        Some("COPY") => copy(rest),
        Some("PRAGMA") => pragma(rest, is_upper),
        Some("SET") => set(rest, is_upper),
        Some("DO") => where_it(matches!(rest.first(), Some(Token::Text)) && is_upper),
        Some("DECLARE") => where_it(rest.name() && rest.word(&["CURSOR", "SCROLL", "NO", "BINARY"])),
        Some("REFRESH") => where_it(rest.words(&["MATERIALIZED", "VIEW"]) && rest.name()),
        Some("CALL") => where_it(is_upper && rest.name() && rest.is_sign('(')),
        Some("LISTEN" | "UNLISTEN" | "NOTIFY") => {
            where_it(is_upper && rest.name() && (rest.is_sign(';') || rest.is_sign(',')))
        }
        Some("ATTACH" | "DETACH") => where_it(is_upper && rest.word(&["DATABASE"]) && !rest.is_end()),
        Some("LOCK") => where_it(is_upper && rest.word(&["TABLE"]) && rest.name()),
        Some("BEGIN" | "START" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "RELEASE") => {
            transaction(tokens, is_upper)
        }
        _ => Query::No,
    }
}

fn where_it(is_so: bool) -> Query {
    if is_so { Query::Surely } else { Query::No }
}

/// Takes the kind of a thing.
fn kind(tokens: &mut Tokens<'_>) -> bool {
    tokens.words(&["OR", "REPLACE"]);
    while tokens.word(BEFORE_KIND) {}
    let there = tokens.word(KINDS);
    tokens.word(&["CONCURRENTLY"]);
    there
}

fn create(mut tokens: Tokens<'_>, is_upper: bool) -> Query {
    if !kind(&mut tokens) {
        return Query::No;
    }
    let is_careful = tokens.words(&["IF", "NOT", "EXISTS"]);
    if !tokens.name() {
        // An index needs no name.
        return where_it(is_upper && tokens.word(&["ON"]) && tokens.name());
    }
    let follows = tokens.is_end() || tokens.is(AFTER_NAME) || is_mark(&tokens);
    match (is_upper || is_careful, follows) {
        (_, false) => Query::No,
        (true, true) => Query::Surely,
        (false, true) => {
            let is_list =
                tokens.is_sign('(') && !tokens.rest().windows(2).all(|two| two[0] != Token::Sign(')'));
            if is_list || tokens.is_sign(';') { Query::Surely } else { Query::No }
        }
    }
}

fn is_mark(tokens: &Tokens<'_>) -> bool {
    matches!(tokens.first(), Some(Token::Sign('(' | ';' | ',') | Token::Place | Token::Text))
}

fn alter(mut tokens: Tokens<'_>, is_upper: bool) -> Query {
    if is_upper && tokens.words(&["SYSTEM", "SET"]) {
        return Query::Surely;
    }
    if is_upper && tokens.words(&["DEFAULT", "PRIVILEGES"]) {
        return Query::Surely;
    }
    if !kind(&mut tokens) {
        return Query::No;
    }
    tokens.words(&["IF", "EXISTS"]);
    tokens.word(&["ONLY"]);
    if !tokens.name() {
        return Query::No;
    }
    tokens.parentheses();
    // The change may be put in later, and be all that is missing.
    where_it(tokens.is(CHANGES) || is_upper && (tokens.is_end() || tokens.first() == Some(&Token::Place)))
}

fn drop_of(mut tokens: Tokens<'_>, is_upper: bool) -> Query {
    if !kind(&mut tokens) {
        return Query::No;
    }
    let is_careful = tokens.words(&["IF", "EXISTS"]);
    if !tokens.name() {
        return Query::No;
    }
    tokens.parentheses();
    let is_whole = tokens.is_end();
    if !is_whole && !is_mark(&tokens) && !tokens.is(&["CASCADE", "RESTRICT", "ON", "FORCE"]) {
        return Query::No;
    }
    if is_upper || is_careful || !is_whole { Query::Surely } else { Query::Possibly }
}

fn truncate(mut tokens: Tokens<'_>, is_upper: bool) -> Query {
    let is_table = tokens.word(&["TABLE"]);
    tokens.word(&["ONLY"]);
    if !tokens.name() {
        return Query::No;
    }
    let is_whole = tokens.is_end();
    if !is_whole && !is_mark(&tokens) && !tokens.is(&["CASCADE", "RESTRICT", "RESTART", "CONTINUE"]) {
        return Query::No;
    }
    match (is_upper, is_table) {
        (true, _) => Query::Surely,
        (false, true) => Query::Possibly,
        (false, false) => where_it(!is_whole),
    }
}

fn grant(mut tokens: Tokens<'_>, is_upper: bool) -> Query {
    let mut privileges = 0;
    while tokens.word(PRIVILEGES) {
        privileges += 1;
        tokens.word(&["PRIVILEGES"]);
        tokens.parentheses();
        tokens.sign(',');
    }
    if privileges > 0 && tokens.word(&["ON"]) {
        while tokens.word(&["ALL", "TABLES", "SEQUENCES", "FUNCTIONS", "IN"]) || tokens.word(KINDS) {}
        return where_it(tokens.name() && (is_upper || tokens.is(&["TO", "FROM"]) || tokens.is_sign(',')));
    }
    // A role, to a role.
    where_it(is_upper && tokens.name() && tokens.is(&["TO", "FROM"]))
}

fn copy(mut tokens: Tokens<'_>) -> Query {
    if !tokens.parentheses() && !tokens.name() {
        return Query::No;
    }
    tokens.parentheses();
    let goes = tokens.word(&["FROM", "TO"]);
    let is_end = tokens.is(&["STDIN", "STDOUT", "PROGRAM"])
        || matches!(tokens.first(), Some(Token::Text | Token::Place));
    where_it(goes && is_end)
}

fn pragma(mut tokens: Tokens<'_>, is_upper: bool) -> Query {
    let named = tokens.rest();
    if !tokens.name() {
        return Query::No;
    }
    let follows = tokens.is_end() || tokens.is_sign('=') || is_mark(&tokens);
    where_it(follows && (is_upper || has_sign(named)))
}

fn set(mut tokens: Tokens<'_>, is_upper: bool) -> Query {
    let is_session = tokens.word(&["LOCAL", "SESSION"]);
    if is_upper && tokens.word(&["ROLE", "CONSTRAINTS", "TRANSACTION"]) {
        return where_it(!tokens.is_end());
    }
    let named = tokens.rest();
    if !tokens.name() {
        return Query::No;
    }
    let is_given = tokens.is_sign('=') || tokens.is(&["TO"]);
    let is_known = is_session || matches!(named.first(), Some(Token::Word(word)) if word.contains('_'));
    where_it(is_given && is_known && (is_upper || is_session))
}

fn transaction(mut tokens: Tokens<'_>, is_upper: bool) -> Query {
    let word = tokens.peek().unwrap_or_default();
    tokens.skip();
    let is_one = match word.as_str() {
        "BEGIN" => {
            tokens.is_sign(';')
                || tokens.is(&[
                    "TRANSACTION",
                    "IMMEDIATE",
                    "EXCLUSIVE",
                    "DEFERRED",
                    "WORK",
                    "ISOLATION",
                    "CONCURRENT",
                ])
        }
        "START" => tokens.is(&["TRANSACTION"]),
        "COMMIT" => tokens.is_sign(';') || tokens.is(&["PREPARED", "TRANSACTION", "WORK"]),
        "ROLLBACK" => tokens.is_sign(';') || tokens.is(&["TO", "PREPARED", "TRANSACTION", "WORK"]),
        "SAVEPOINT" => tokens.name() && (tokens.is_end() || tokens.is_sign(';')),
        _ => tokens.word(&["SAVEPOINT"]) && tokens.name(),
    };
    where_it(is_upper && is_one)
}
