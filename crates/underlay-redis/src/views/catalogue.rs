//! Which views there are, in which generations, and how far each has come.
//!
//! ```text
//!  building ──► active ──► replaced ──► active …
//!     │                        │
//!     └────► discarded ◄───────┘ ──► swept
//! ```
//!
//! A view is one hash. It says which generation is `active`, `building` and `replaced`, and what is known of a generation
//! has the number before its name: `3.checkpoint`. Each change of it is one script, so none is half done. Only the
//! generation that is active and the one being built answer.

use redis::cmd;
use underlay_core::{
    Checkpoint, Error, EventId, ParkedEvent, Position, StoreId, ViewSchema, ViewTable, no_generation,
};

use crate::RedisStore;
use crate::connections::Asked;
use crate::error::Effect;

pub(super) const DOING: &str = "changing a view in Redis";

/// A position as it is stored: all have the same length, so their texts have their order.
pub(super) fn stored_position(position: Position) -> String {
    format!("{:016x}", position.number())
}

/// A checkpoint as it is stored: it begins with the position.
pub(super) fn stored_checkpoint(checkpoint: &Checkpoint) -> String {
    let event = checkpoint.event_id.map_or_else(|| "-".to_owned(), |id| id.0.to_string());
    format!("{}.{}.{event}", stored_position(checkpoint.position), checkpoint.store)
}

/// A checkpoint that was stored.
pub(super) fn checkpoint(view: &str, stored: &str) -> Result<Checkpoint, Error> {
    let read = || {
        let mut parts = stored.splitn(3, '.');
        let position = u64::from_str_radix(parts.next()?, 16).ok()?;
        let store = parts.next()?.parse().ok()?;
        let event_id = match parts.next()? {
            "-" => None,
            id => Some(EventId(id.parse().ok()?)),
        };
        Some(Checkpoint { store: StoreId(store), position: Position::from_number(position), event_id })
    };
    read().ok_or_else(|| damaged(view, format!("the checkpoint {stored:?}")))
}

/// An event of the log, as what is stored of it begins.
pub(super) fn event_key(event: &ParkedEvent) -> String {
    format!("{}\0{}", stored_position(event.position), event.event_id.0)
}

pub(super) fn definition(schema: &ViewSchema) -> Result<String, Error> {
    serde_json::to_string(schema)
        .map_err(|error| Error::invalid(format!("view {} has no JSON form: {error}", schema.name)))
}

pub(super) fn damaged(view: &str, what: impl std::fmt::Display) -> Error {
    Error::Damaged(format!("view {view}: {what} cannot be read"))
}

pub(super) fn no_table(table: &ViewTable) -> Error {
    no_generation(&table.schema.name, table.generation)
}

pub(super) fn no_view(view: &str) -> Error {
    Error::NotFound(format!("view {view}"))
}

impl RedisStore {
    /// How far a generation has come that answers.
    pub(crate) async fn checkpoint_of(&self, table: &ViewTable) -> Result<Checkpoint, Error> {
        let number = table.generation.to_string();
        let mut read = cmd("HMGET");
        read.arg(self.0.keys.view(&table.schema.name)).arg("active").arg("building");
        read.arg(format!("{number}.checkpoint"));
        let (active, building, stored): (Option<String>, Option<String>, Option<String>) =
            self.ask("reading a view in Redis", Effect::Repeatable, Asked::Command(&read)).await?;
        let answers = [active, building].iter().flatten().any(|answers| *answers == number);
        match stored {
            Some(stored) if answers => checkpoint(&table.schema.name, &stored),
            None if answers => Err(damaged(&table.schema.name, "a generation without a checkpoint")),
            _ => Err(no_table(table)),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_checkpoint_is_read_back() {
        let start = Checkpoint::start(StoreId(Uuid::now_v7()));
        let later = Checkpoint {
            position: Position::from_number(u64::MAX),
            event_id: Some(EventId::draw()),
            ..start
        };
        for known in [start, later] {
            assert_eq!(checkpoint("v", &stored_checkpoint(&known)).unwrap(), known);
        }
        assert!(stored_position(Position::from_number(9)) < stored_position(Position::from_number(10)));
        for wrong in ["", "1", "x.y.z", "00.-.-"] {
            let told = checkpoint("v", wrong).unwrap_err().to_string();
            assert!(told.contains("view v") && told.contains("checkpoint"), "{told}");
        }
    }
}
