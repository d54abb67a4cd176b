use mongodb::ClientSession;
use mongodb::bson::{Bson, Document, doc};

use crate::error::Failure;
use crate::store::Open;

/// Bytes of statements that are sent at once, well below the largest message that the server takes.
const SENT_BYTES_MAX: usize = 8 << 20;

/// What statements do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Each is a document.
    Insert,
    /// Each names documents, and says what becomes of them.
    Update,
    /// Each names documents.
    Delete,
}

/// Statements about one collection that are sent together, as far as they fit into a message.
#[derive(Debug)]
pub(crate) struct Writes {
    verb: Verb,
    collection: String,
    /// Each with about how many bytes it is.
    statements: Vec<(usize, Document)>,
}

impl Writes {
    pub(crate) fn new(verb: Verb, collection: impl Into<String>) -> Self {
        Self { verb, collection: collection.into(), statements: Vec::new() }
    }

    /// Whether statements of this kind belong to these.
    pub(crate) fn are_of(&self, verb: Verb, collection: &str) -> bool {
        self.verb == verb && self.collection == collection
    }

    pub(crate) fn push(&mut self, bytes: usize, statement: Document) {
        self.statements.push((bytes, statement));
    }

    pub(crate) fn len(&self) -> usize {
        self.statements.len()
    }

    /// Sends them in a transaction; how many documents they were about.
    pub(crate) async fn send(self, open: &Open, session: &mut ClientSession) -> Result<usize, Failure> {
        let (mut made, mut bytes, mut list) = (0, 0, Vec::new());
        for (more, statement) in self.statements {
            if bytes + more > SENT_BYTES_MAX && !list.is_empty() {
                made += send(open, session, command(self.verb, &self.collection, list)).await?;
                (bytes, list) = (0, Vec::new());
            }
            bytes += more;
            list.push(Bson::Document(statement));
        }
        if !list.is_empty() {
            made += send(open, session, command(self.verb, &self.collection, list)).await?;
        }
        Ok(made)
    }
}

fn command(verb: Verb, collection: &str, list: Vec<Bson>) -> Document {
    match verb {
        Verb::Insert => doc! { "insert": collection, "documents": list },
        Verb::Update => doc! { "update": collection, "updates": list },
        Verb::Delete => doc! { "delete": collection, "deletes": list },
    }
}

async fn send(open: &Open, session: &mut ClientSession, command: Document) -> Result<usize, Failure> {
    let answer = open.database.run_command(command).session(session).await?;
    match Failure::refusal_in(&answer) {
        Some(refused) => Err(refused),
        None => Ok(answer.get_i32("n").ok().and_then(|n| usize::try_from(n).ok()).unwrap_or_default()),
    }
}
