use std::cell::Cell;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{CommitId, Fingerprint, TenantId, Timestamp};

/// Who gives a command, as the credentials say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The name; none for the product itself.
    pub name: Option<String>,
    /// What the actor may be.
    pub roles: Vec<String>,
}

/// What a decision may know besides state and command. There is no other clock and no other
/// randomness in a decision, so deciding again decides the same.
#[derive(Debug)]
pub struct Context {
    /// The time of the command.
    pub now: Timestamp,
    /// Whose data it is about.
    pub tenant: TenantId,
    /// Who gives it.
    pub actor: Actor,
    /// Its identity.
    pub command_id: CommitId,
    drawn: Cell<u32>,
}

impl Context {
    /// The context of one decision.
    #[must_use]
    pub fn new(now: Timestamp, tenant: TenantId, actor: Actor, command_id: CommitId) -> Self {
        Self { now, tenant, actor, command_id, drawn: Cell::new(0) }
    }

    /// A new id: the n-th of a command is always the same.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        let number = self.drawn.get();
        self.drawn.set(number + 1);
        let parts = [b"new-id".as_slice(), self.command_id.0.as_bytes(), &number.to_le_bytes()];
        Uuid::new_v8(Fingerprint::of(parts).0)
    }
}
