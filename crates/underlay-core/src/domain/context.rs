use std::cell::Cell;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::words::{CommitId, Fingerprint, TenantId, Timestamp};

/// Who gives a command, as the credentials say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The name; none for the product itself.
    pub name: Option<String>,
    /// What the actor may be. The roles are of the moment: no event keeps them.
    pub roles: Vec<String>,
}

impl Actor {
    /// Whether the actor has a role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }
}

/// All that a decision may know beside the state and the command. A decision has no other clock and no other
/// randomness, so deciding again decides the same.
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

    /// Whether the one who gives the command has a role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.actor.has_role(role)
    }

    /// Draws a new id. The n-th id of a tenant's command is always the same.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        let number = self.drawn.get();
        self.drawn.set(number + 1);
        let (tenant, command) = (self.tenant.as_str().as_bytes(), self.command_id.0.as_bytes());
        let parts = [b"new-id".as_slice(), tenant, command, &number.to_le_bytes()];
        Uuid::new_v8(Fingerprint::of(parts).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_same_when_it_is_decided_again_and_of_nobody_else() {
        let context = |tenant: &str, id| {
            Context::new(Timestamp::UNIX_EPOCH, TenantId::new(tenant).unwrap(), Actor::default(), id)
        };
        let (id, another) = (CommitId::draw(), CommitId::draw());
        let (first, again) = (context("acme", id), context("acme", id));
        let drawn = [first.new_id(), first.new_id()];
        assert_eq!(drawn, [again.new_id(), again.new_id()]);
        assert_ne!(drawn[0], drawn[1]);
        assert!(!drawn.contains(&context("other", id).new_id()), "a command of that id has every tenant");
        assert!(!drawn.contains(&context("acme", another).new_id()));
    }
}
