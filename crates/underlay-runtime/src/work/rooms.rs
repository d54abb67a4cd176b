//! How much work a worker has in memory, and how much more it may take in.
//!
//! What was due has a quarter of the room, what is urgent another, and what is normal the rest: none of them
//! keeps the others out. Of each room a tenant takes no more than is still free beside it, so that there is room
//! left for a tenant that comes later, however many have come before.

use std::collections::{BTreeSet, HashMap, HashSet};

use underlay_core::TenantId;

use super::lines::Source;
use crate::EngineConfig;

/// Of so many parts of the room, each source has some.
const PARTS: usize = 4;
const PARTS_OF: [usize; Source::COUNT] = [1, 1, 2];

/// Whether a piece has room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It has.
    Fits,
    /// Its tenant has too much in memory already.
    TenantIsFull,
    /// All of the room is taken.
    IsFull,
}

#[derive(Clone, Copy, Debug, Default)]
struct Amount {
    pieces: usize,
    bytes: usize,
}

#[derive(Default)]
struct Room {
    max: Amount,
    tenant_max: Amount,
    used: Amount,
    of_tenants: HashMap<TenantId, Amount>,
    /// Pieces of tenants that are on their way, and how many that is together.
    expected: HashMap<TenantId, usize>,
    expected_pieces: usize,
    /// Tenants that a piece was not taken in from, since they had too much.
    full: HashSet<TenantId>,
    /// Tenants that were full, and have room again.
    hungry: BTreeSet<TenantId>,
}

impl Room {
    /// What a tenant may have in it at the moment.
    fn share(&self) -> Amount {
        let free = Amount {
            pieces: self.max.pieces.saturating_sub(self.used.pieces),
            bytes: self.max.bytes.saturating_sub(self.used.bytes),
        };
        Amount {
            pieces: self.tenant_max.pieces.min(free.pieces),
            bytes: self.tenant_max.bytes.min(free.bytes),
        }
    }

    fn fit(&mut self, tenant: &TenantId, bytes: usize) -> Fit {
        let Amount { pieces, bytes: used } = self.used;
        // A piece that is larger than all of the room is taken in alone.
        if pieces > 0 && (pieces >= self.max.pieces || used + bytes > self.max.bytes) {
            return Fit::IsFull;
        }
        let share = self.share();
        let has = self.of_tenants.get(tenant).copied().unwrap_or_default();
        if has.pieces > 0 && (has.pieces >= share.pieces || has.bytes + bytes > share.bytes) {
            self.full.insert(tenant.clone());
            self.hungry.remove(tenant);
            return Fit::TenantIsFull;
        }
        Fit::Fits
    }
}

/// The room that a worker has.
pub(super) struct Rooms([Room; Source::COUNT]);

impl Rooms {
    pub(super) fn new(config: &EngineConfig) -> Self {
        let part = |max: usize, source: usize| (max * PARTS_OF[source] / PARTS).max(1);
        Self(std::array::from_fn(|source| Room {
            max: Amount {
                pieces: part(config.work_buffered_max, source),
                bytes: part(config.work_buffered_bytes_max, source),
            },
            tenant_max: Amount {
                pieces: part(config.work_tenant_buffered_max, source),
                bytes: part(config.work_tenant_buffered_bytes_max, source),
            },
            ..Room::default()
        }))
    }

    /// Whether a piece has room.
    pub(super) fn fit(&mut self, tenant: &TenantId, source: Source, bytes: usize) -> Fit {
        self.0[source.index()].fit(tenant, bytes)
    }

    pub(super) fn take(&mut self, tenant: &TenantId, source: Source, bytes: usize) {
        let room = &mut self.0[source.index()];
        let of_tenant = room.of_tenants.entry(tenant.clone()).or_default();
        for amount in [&mut room.used, of_tenant] {
            amount.pieces += 1;
            amount.bytes += bytes;
        }
    }

    pub(super) fn give_back(&mut self, tenant: &TenantId, source: Source, bytes: usize) {
        let room = &mut self.0[source.index()];
        room.used.pieces -= 1;
        room.used.bytes -= bytes;
        let Some(amount) = room.of_tenants.get_mut(tenant) else { return };
        amount.pieces -= 1;
        amount.bytes -= bytes;
        let has = *amount;
        if has.pieces == 0 {
            room.of_tenants.remove(tenant);
        }
        // Read again once half of it is free: not piece by piece.
        let share = room.share();
        let has_room = has.pieces <= share.pieces / 2 && has.bytes <= share.bytes / 2 || has.pieces == 0;
        if has_room && room.full.remove(tenant) {
            room.hungry.insert(tenant.clone());
        }
    }

    /// Tenants that were full are read again where they have any room: what they have may be running for long.
    pub(super) fn look_again(&mut self, bytes_each: usize, most: usize) {
        for source in Source::ALL {
            let full = std::mem::take(&mut self.0[source.index()].full);
            let (hungry, full): (Vec<TenantId>, Vec<TenantId>) =
                full.into_iter().partition(|tenant| self.page_of(tenant, source, bytes_each, most) > 0);
            let room = &mut self.0[source.index()];
            room.hungry.extend(hungry);
            room.full.extend(full);
        }
    }

    /// Pieces are on their way, which a tenant has room for.
    pub(super) fn expect(&mut self, tenant: &TenantId, source: Source, pieces: usize) {
        let room = &mut self.0[source.index()];
        *room.expected.entry(tenant.clone()).or_default() += pieces;
        room.expected_pieces += pieces;
    }

    /// They have come, or will not.
    pub(super) fn came(&mut self, tenant: &TenantId, source: Source, pieces: usize) {
        let room = &mut self.0[source.index()];
        if let Some(count) = room.expected.get_mut(tenant) {
            let pieces = pieces.min(*count);
            *count -= pieces;
            room.expected_pieces -= pieces;
            if *count == 0 {
                room.expected.remove(tenant);
            }
        }
    }

    /// How many pieces of one tenant may be read at once.
    pub(super) fn page_of(&self, tenant: &TenantId, source: Source, bytes_each: usize, most: usize) -> usize {
        let room = &self.0[source.index()];
        let has = room.of_tenants.get(tenant).copied().unwrap_or_default();
        let expected = room.expected.get(tenant).copied().unwrap_or_default();
        let each = bytes_each.max(1);
        // What others expect is as good as taken, and each piece that is taken in leaves less free beside it.
        let on_the_way = room.used.pieces + room.expected_pieces;
        let others = Amount {
            pieces: room.max.pieces.saturating_sub(on_the_way),
            bytes: room.max.bytes.saturating_sub(room.used.bytes + room.expected_pieces * each),
        };
        let own = Amount { pieces: has.pieces + expected, bytes: has.bytes + expected * each };
        let part = |most: usize, free: usize, own: usize| {
            most.saturating_sub(own).min(free.saturating_sub(own).div_ceil(2))
        };
        let pieces = part(room.tenant_max.pieces, others.pieces, own.pieces);
        let bytes = part(room.tenant_max.bytes, others.bytes, own.bytes);
        let fits = pieces.min(bytes / each);
        let all = self.page(source, bytes_each, most);
        match own.pieces {
            0 => all.min(fits.max(1)),
            // A few more would not help a tenant that has many: it is read again once more of them are done.
            has if fits < room.tenant_max.pieces.min(most) / 8 && fits < has / 4 => 0,
            _ => all.min(fits),
        }
    }

    /// Tenants that were full in a source, and have room again; each is told once.
    pub(super) fn take_hungry(&mut self, source: Source) -> BTreeSet<TenantId> {
        std::mem::take(&mut self.0[source.index()].hungry)
    }

    /// How many pieces may be read at once from a source, each of so many bytes; none where it is better to
    /// wait until more is free.
    pub(super) fn page(&self, source: Source, bytes_each: usize, most: usize) -> usize {
        let room = &self.0[source.index()];
        let free_bytes = room.max.bytes.saturating_sub(room.used.bytes);
        if room.used.pieces == 0 {
            return (free_bytes / bytes_each.max(1)).clamp(1, most);
        }
        let free = room.max.pieces.saturating_sub(room.used.pieces);
        let page = free.min(free_bytes / bytes_each.max(1)).min(most);
        if page >= room.max.pieces.min(most).div_ceil(8) || page * 2 >= room.max.pieces { page } else { 0 }
    }

    /// Whether something could not be taken in, or will not be.
    pub(super) fn are_crowded(&self, bytes_each: usize, most: usize) -> bool {
        let is_crowded = |source: Source| {
            !self.0[source.index()].full.is_empty() || self.page(source, bytes_each, most) == 0
        };
        Source::ALL.into_iter().any(is_crowded)
    }

    /// How many pieces are in memory.
    pub(super) fn pieces(&self) -> usize {
        self.0.iter().map(|room| room.used.pieces).sum()
    }

    /// How many bytes they are.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|room| room.used.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenants(count: usize) -> Vec<TenantId> {
        (0..count).map(|number| TenantId::new(format!("tenant-{number}")).unwrap()).collect()
    }

    #[test]
    fn what_is_read_of_a_tenant_is_taken_in() {
        let config = EngineConfig { work_buffered_max: 400, ..EngineConfig::default() };
        let mut rooms = Rooms::new(&config);
        let (source, bytes) = (Source::Ready(underlay_core::Lane::Normal), 1_000);
        let tenants = tenants(5);
        for _ in 0..8 {
            // Pages of all of them are on their way at once.
            let pages: Vec<usize> = tenants
                .iter()
                .map(|tenant| {
                    let page = rooms.page_of(tenant, source, bytes, 256);
                    rooms.expect(tenant, source, page);
                    page
                })
                .collect();
            for (tenant, page) in tenants.iter().zip(pages) {
                rooms.came(tenant, source, page);
                for number in 0..page {
                    assert_eq!(rooms.fit(tenant, source, bytes), Fit::Fits, "{number} of {page} of {tenant}");
                    rooms.take(tenant, source, bytes);
                }
            }
        }
        assert!(rooms.pieces() > 100, "{}", rooms.pieces());
        let alone = TenantId::new("late").unwrap();
        assert_eq!(rooms.fit(&alone, source, bytes), Fit::Fits, "whoever comes later finds room");
    }
    #[test]
    fn a_tenant_that_has_many_is_not_read_a_few_at_a_time() {
        let config = EngineConfig::default();
        let mut rooms = Rooms::new(&config);
        let (source, bytes, tenants) = (Source::Ready(underlay_core::Lane::Normal), 100, tenants(2));
        let [tenant, other] = &tenants[..] else { unreachable!() };
        let most = config.work_tenant_buffered_max * PARTS_OF[source.index()] / PARTS;
        (0..most - 10).for_each(|_| rooms.take(tenant, source, bytes));
        assert_eq!(rooms.page_of(tenant, source, bytes, 256), 0, "ten more are not worth a read");
        assert_eq!(rooms.page_of(other, source, bytes, 256), 256, "and it is in nobody's way");
        (0..30).for_each(|_| rooms.give_back(tenant, source, bytes));
        assert_eq!(rooms.page_of(tenant, source, bytes, 256), 40);
    }

    #[test]
    fn a_tenant_that_has_few_is_read_where_there_is_any_room() {
        let config = EngineConfig { work_tenant_buffered_max: 8, ..EngineConfig::default() };
        let mut rooms = Rooms::new(&config);
        let (source, bytes, tenants) = (Source::Ready(underlay_core::Lane::Normal), 100, tenants(1));
        (0..3).for_each(|_| rooms.take(&tenants[0], source, bytes));
        assert_eq!(rooms.page_of(&tenants[0], source, bytes, 256), 1);
    }
}
