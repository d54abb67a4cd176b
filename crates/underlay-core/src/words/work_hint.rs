//! Where there may be work: what a hint says of it.

use std::fmt;

use crate::words::limits::WORK_SHARDS;
use crate::words::{Lane, NewWork, Shard, TenantId};

/// Some of the shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardSet(u16);

// One bit for each.
const _: () = assert!(WORK_SHARDS as u32 == u16::BITS);

impl ShardSet {
    /// Every shard.
    pub const ALL: Self = Self(u16::MAX);

    /// Adds one.
    pub fn insert(&mut self, shard: Shard) {
        self.0 |= 1 << shard.number();
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn contains(self, shard: Shard) -> bool {
        self.0 & 1 << shard.number() != 0
    }

    /// Whether it is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Where there may be work that was not there before. It says nothing of what the work is, and may be missing.
///
/// ```
/// use underlay_core::{Json, NewWork, TenantId, WorkHint, WorkKind};
///
/// let acme = TenantId::new("acme")?;
/// let mut hint = WorkHint::default();
/// hint.add(&acme, &[NewWork::new(WorkKind::Message, "mail", "member-1", "welcome", Json::parse("{}")?)]);
/// assert_eq!(WorkHint::parse(&hint.to_string()), Some(hint));
/// # Ok::<(), underlay_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkHint {
    /// Of each lane, where something may be ready.
    pub ready: [ShardSet; Lane::ALL.len()],
    /// Where something may wait for its moment, or be due.
    pub later: ShardSet,
}

impl WorkHint {
    /// Everywhere: where nobody knows.
    pub const EVERYWHERE: Self = Self { ready: [ShardSet::ALL; Lane::ALL.len()], later: ShardSet::ALL };
    /// Wherever something may be due: where a person has decided.
    pub const DUE_EVERYWHERE: Self = Self { ready: [ShardSet(0); Lane::ALL.len()], later: ShardSet::ALL };

    /// Adds what a commit of a tenant sends on.
    pub fn add(&mut self, tenant: &TenantId, work: &[NewWork]) {
        for sent in work {
            let shard = Shard::of(tenant, &sent.key);
            self.add_ready(shard, sent.lane);
            // It was due already, or is so later: only the store knows.
            if sent.due_at.is_some() {
                self.later.insert(shard);
            }
        }
    }

    /// Adds a lane of a shard.
    pub fn add_ready(&mut self, shard: Shard, lane: Lane) {
        self.ready[usize::from(lane.number())].insert(shard);
    }

    /// Adds what another says.
    pub fn merge(&mut self, other: Self) {
        for (mine, theirs) in self.ready.iter_mut().zip(other.ready) {
            mine.0 |= theirs.0;
        }
        self.later.0 |= other.later.0;
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// For adapters: takes what was sent as [`Display`](fmt::Display) writes it; `None` where it is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let part = |at: usize| {
            let digits = text.get(4 * at..4 * at + 4).filter(|digits| !digits.starts_with('+'))?;
            u16::from_str_radix(digits, 16).ok().map(ShardSet)
        };
        let hint = Self { ready: [part(0)?, part(1)?], later: part(2)? };
        (text.len() == 12).then_some(hint)
    }
}

impl fmt::Display for WorkHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ready: [urgent, normal], later } = self;
        write!(f, "{:04x}{:04x}{:04x}", urgent.0, normal.0, later.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Json, Timestamp, WorkKind};

    #[test]
    fn a_hint_names_where_work_was_sent_and_nothing_else() {
        let acme = TenantId::new("acme").unwrap();
        let nothing = Json::parse("{}").unwrap();
        let piece = |key: &str| NewWork::new(WorkKind::Message, "mail", key, "x", nothing.clone());
        let later = piece("member-2").with_due_at(Timestamp::MAX);
        let mut hint = WorkHint::default();
        assert!(hint.is_empty());
        hint.add(&acme, &[piece("member-1").urgent(), later]);
        let named = |set: ShardSet| Shard::all().filter(|shard| set.contains(*shard)).collect::<Vec<_>>();
        assert_eq!(named(hint.ready[0]), [Shard::of(&acme, "member-1")]);
        assert_eq!(named(hint.ready[1]), [Shard::of(&acme, "member-2")]);
        assert_eq!(named(hint.later), [Shard::of(&acme, "member-2")]);
    }

    #[test]
    fn what_is_no_hint_is_not_read_as_one() {
        assert_eq!(WorkHint::parse(&WorkHint::EVERYWHERE.to_string()), Some(WorkHint::EVERYWHERE));
        for text in
            ["", "0", "00000000000", "0000000000000", "00000000000g", "+00000000000", "00000000\u{e9}00"]
        {
            assert_eq!(WorkHint::parse(text), None, "{text}");
        }
    }
}
