//! A connection that tells everything it was told: rows, counts, and every part of an error.

use servers::connect;
use tokio_postgres::error::DbError;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::Result;

/// What the server said to one statement.
#[derive(Debug)]
pub(super) struct Told {
    /// Every value of every row, or every part of the error.
    pub(super) text: String,
    /// Rows given or changed; by the last statement where there are several.
    pub(super) rows: u64,
    /// The code of the error.
    pub(super) code: Option<String>,
}

impl Told {
    /// Whether the statement was carried out.
    pub(super) fn done(&self) -> bool {
        self.code.is_none()
    }

    pub(super) fn is_denied(&self) -> bool {
        self.code.as_deref() == Some("42501")
    }

    /// Whether the statement was none: it says nothing about a wall then.
    pub(super) fn is_nonsense(&self) -> bool {
        const NONSENSE: [&str; 8] = ["42601", "42703", "42883", "42P01", "42P02", "42P18", "42704", "25P02"];
        self.code.as_deref().is_some_and(|code| NONSENSE.contains(&code))
    }

    /// The first line, for a person.
    pub(super) fn short(&self) -> String {
        let code = self.code.as_deref().unwrap_or("done");
        let text: String = self.text.chars().take(200).collect();
        format!("{code}, {} rows: {}", self.rows, text.replace('\n', " | "))
    }
}

/// One connection.
pub(super) struct Session {
    pub(super) client: Client,
}

impl Session {
    pub(super) async fn open(address: &str) -> Result<Self> {
        Ok(Self { client: connect(address).await? })
    }

    /// Runs statements and gives what was said. Only a lost connection is an error.
    pub(super) async fn tell(&self, sql: &str) -> Result<Told> {
        let messages = match self.client.simple_query(sql).await {
            Ok(messages) => messages,
            Err(error) => {
                let Some(said) = error.as_db_error() else { return Err(format!("{sql}: {error}").into()) };
                return Ok(Told {
                    text: everything(said),
                    rows: 0,
                    code: Some(said.code().code().to_owned()),
                });
            }
        };
        let mut told = Told { text: String::new(), rows: 0, code: None };
        for message in messages {
            match message {
                SimpleQueryMessage::Row(row) => {
                    for column in 0..row.len() {
                        told.text.push_str(row.get(column).unwrap_or("NULL"));
                        told.text.push('\t');
                    }
                    told.text.push('\n');
                }
                SimpleQueryMessage::CommandComplete(rows) => told.rows = rows,
                _ => {}
            }
        }
        Ok(told)
    }

    /// As [`Session::tell`], for what must succeed.
    pub(super) async fn run(&self, sql: &str) -> Result<Told> {
        let told = self.tell(sql).await?;
        if told.done() { Ok(told) } else { Err(format!("{sql}: {}", told.short()).into()) }
    }

    /// The lines of a query that must succeed, one value each.
    pub(super) async fn lines(&self, sql: &str) -> Result<Vec<String>> {
        let told = self.run(sql).await?;
        Ok(told.text.lines().map(|line| line.trim_end_matches('\t').to_owned()).collect())
    }

    /// Runs a statement after others, all in a transaction that is rolled back, and `look` before that.
    pub(super) async fn act(&self, before: &str, sql: &str) -> Result<Told> {
        self.begin(before).await?;
        let told = self.tell(sql).await?;
        self.run("ROLLBACK").await?;
        Ok(told)
    }

    /// Begins a transaction with statements that must succeed.
    pub(super) async fn begin(&self, before: &str) -> Result<()> {
        self.run(&format!("BEGIN; {before}")).await.map(drop)
    }
}

/// Every part of an error that could quote a value.
fn everything(error: &DbError) -> String {
    let parts = [
        Some(error.message()),
        error.detail(),
        error.hint(),
        error.where_(),
        error.schema(),
        error.table(),
        error.column(),
        error.datatype(),
        error.constraint(),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// A text as a literal of SQL, whatever it holds.
pub(super) fn literal(text: &str) -> String {
    if text.contains('\\') {
        return format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    }
    format!("'{}'", text.replace('\'', "''"))
}

/// A name as an identifier of SQL.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_holds_any_text() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
    }
}
