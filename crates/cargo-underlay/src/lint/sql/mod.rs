//! Whether a text is a query: SQL, part of a statement, or a script for Redis.
//!
//! A text is read as tokens and compared with the forms of statements, so that prose that begins with "select" or "update" is not
//! taken for one. Upper-case keywords say much by themselves. In lower case a statement needs a sign that prose has not: an
//! operator, a placeholder, a list in parentheses. Between the two is what is a query only where code says so, as in
//! `const SQL: &str = "select name from users"`.

mod fragments;
mod prose;
mod schema;
mod statements;
mod token;

use token::{Tokens, tokens};

/// How sure it is that a text is a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Query {
    No,
    /// It is one where its surroundings say so.
    Possibly,
    Surely,
}

/// Calls that a script for Redis makes.
const REDIS_CALLS: &[&str] = &["redis.call(", "redis.pcall("];

/// Whether a text is a query.
pub(crate) fn query(text: &str) -> Query {
    if calls_redis(text) {
        return Query::Surely;
    }
    let tokens = tokens(text);
    let tokens = Tokens::new(&tokens);
    statements::statement(tokens).max(schema::statement(tokens)).max(fragments::fragment(tokens))
}

/// Whether a text is a script that calls Redis: its first line is one of Lua, and one of its lines makes the call.
fn calls_redis(text: &str) -> bool {
    const FIRST: &[&str] = &["for", "function", "if", "local", "return", "while"];
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("--"));
    let first = lines.next().unwrap_or_default();
    let is_lua =
        first.starts_with("redis.") || FIRST.iter().any(|word| first.split_whitespace().next() == Some(word));
    is_lua && REDIS_CALLS.iter().any(|call| text.contains(call))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_found() {
        for text in [
            "SELECT * FROM orders",
            "  -- all of them\n  SELECT id, total\nFROM orders o WHERE o.tenant = $1",
            "select * from orders",
            "select id, total from orders where tenant = ?",
            "select o.id from orders o join lines l on l.order_id = o.id",
            "select count(*) from orders",
            "SELECT count(*) AS orders FROM \"orders\" WHERE \"total\" > 5;",
            "SELECT 1",
            "SELECT pg_notify('orders', $1)",
            "SELECT {columns} FROM {table}",
            "SELECT EXISTS (SELECT 1 FROM orders WHERE id = $1)",
            "Select * From orders Where id = :id",
            "select distinct name from customers order by name limit 10",
            "(SELECT a FROM b) UNION ALL (SELECT c FROM d)",
            "INSERT INTO orders (id, total) VALUES ($1, $2)",
            "insert into orders values (1, 2)",
            "INSERT OR REPLACE INTO cache SELECT * FROM other",
            "INSERT INTO orders",
            "REPLACE INTO cache (k, v) VALUES (?, ?)",
            "UPDATE orders SET total = 0",
            "update orders set total = total + 1 where id = 5",
            "UPDATE {} SET paid = true",
            "DELETE FROM orders WHERE id = $1",
            "DELETE FROM orders",
            "delete from orders where id = 5",
            "CREATE TABLE orders (id TEXT PRIMARY KEY)",
            "create table if not exists orders (id text)",
            "CREATE UNIQUE INDEX CONCURRENTLY a ON orders (b)",
            "CREATE EXTENSION pgcrypto",
            "ALTER TABLE orders ADD COLUMN paid boolean",
            "alter table orders drop column paid",
            "DROP TABLE IF EXISTS orders CASCADE",
            "DROP TABLE orders",
            "TRUNCATE TABLE orders",
            "GRANT SELECT ON orders TO reader",
            "WITH recent AS (SELECT * FROM orders) SELECT * FROM recent",
            "with recent as (select 1) select 2",
            "MERGE INTO orders USING changes ON orders.id = changes.id",
            "EXPLAIN ANALYZE SELECT * FROM orders",
            "PRAGMA journal_mode = WAL",
            "BEGIN IMMEDIATE",
            "ROLLBACK TO SAVEPOINT a",
            "SET LOCAL underlay.tenant = 'acme'",
            "SET search_path TO shop",
            "COPY orders FROM STDIN",
            "CALL settle(1)",
            "DO $$ BEGIN PERFORM 1; END $$",
            "REFRESH MATERIALIZED VIEW totals",
            "VALUES (1), (2)",
            "LISTEN orders; NOTIFY orders, 'x'",
            "DECLARE c CURSOR FOR SELECT 1",
            " WHERE tenant = $1 ORDER BY id",
            " ORDER BY created_at DESC",
            "LEFT JOIN lines l ON l.order_id = o.id",
            " ON CONFLICT (id) DO NOTHING",
            "FOR UPDATE SKIP LOCKED",
            " LIMIT 10",
            " AND total > 5",
            "RETURNING id",
            "GROUP BY name HAVING count(*) > 1",
            "return redis.call('SET', KEYS[1], ARGV[1])",
            "-- The script.\nlocal kept = redis.pcall('GET', KEYS[1])\nreturn kept",
        ] {
            assert_eq!(query(text), Query::Surely, "{text}");
        }
    }

    #[test]
    fn prose_and_other_texts_are_none() {
        for text in [
            "",
            "select",
            "SELECT",
            "select an item from the list",
            "Select a file from your folder, or drop one here",
            "Select one of the options below",
            "select your preferred language from the menu",
            "Select rows from the table, then copy them.",
            "select at least 1 item",
            "update",
            "Update the order set for tomorrow",
            "update settings",
            "Update available: set a reminder = never miss one",
            "updates the lock of the file",
            "delete from the list what you do not need",
            "Delete from your cart",
            "insert into the box",
            "Insert coin",
            "create table reservations for two",
            "Create a table with four columns",
            "Create user",
            "drop table of contents",
            "drop it",
            "alter the table",
            "CREATE TABLE",
            "CREATE DATABASE",
            "CREATE TABLE statements are refused here",
            "SELECT statements are refused here",
            "DELETE FROM is refused without a condition",
            "DELETE /v1/orders/5",
            "UPDATE",
            "INSERT",
            "with care",
            "With kind regards (and thanks)",
            "WITH LOVE",
            "set the table",
            "Set name = value in the file",
            "begin",
            "BEGIN CERTIFICATE",
            "-----BEGIN PRIVATE KEY-----",
            "COMMIT",
            "commit",
            "values are bound",
            "grant access to the door",
            "call me later",
            "Copy orders from the other account",
            "Explain yourself",
            "WHERE ARE YOU",
            "where a = b",
            "order by phone",
            "ORDER BY PHONE NOW OR NEVER",
            "LIMIT REACHED",
            "limit 10",
            "FROM SCRATCH",
            "AND SO ON",
            "RETURNING SOON",
            "GROUP BY AGREEMENT OF ALL",
            "FOR UPDATES SEE BELOW",
            "<select name=\"a\"><option>from b</option></select>",
            "select[name=from]",
            "{ \"select\": [\"a\"], \"from\": \"b\" }",
            "truncate text",
            "listen closely",
            "explain select",
            "merge into main",
            "lock table tennis",
            "do not repeat",
            "A script has a line such as redis.call('SET', KEYS[1])",
            "analyze results",
        ] {
            assert_eq!(query(text), Query::No, "{text}");
        }
    }

    #[test]
    fn between_the_two_its_surroundings_decide() {
        for text in [
            "select name from users",
            "delete from orders",
            "drop table orders",
            "SELECT id",
            "select 1",
            "SELECT id, ",
        ] {
            assert_eq!(query(text), Query::Possibly, "{text}");
        }
    }

    #[test]
    fn no_text_takes_long_or_ends_the_program() {
        for text in [
            "(".repeat(100_000),
            "SELECT ".repeat(10_000),
            "'".repeat(9_999),
            "/*".to_owned(),
            "$$".to_owned(),
            "{".repeat(5_000),
        ] {
            let _any = query(&text);
        }
    }
}
