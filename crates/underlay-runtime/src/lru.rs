//! What is kept in memory, least recently used first to go: bounded by bytes, with a share for each tenant.
//!
//! - All entries together take at most `bytes_max`; one that is larger alone is not kept.
//! - What is free anybody may use. Where room is needed, a tenant that has more than its share gives
//!   first, and the one who wants the room before any other: the entry it has used longest ago. Only
//!   where nobody has more than a share, the entry that anybody used longest ago goes.
//! - So whoever floods it pushes out its own entries, and a tenant within its share keeps what it uses.
//!
//! Whoever has it holds a lock over it: a call is a look into two maps and a few links. What goes is handed out, so that it is
//! dropped after the lock is given back.

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use underlay_core::TenantId;

/// Entries of tenants by their keys.
pub(crate) struct TenantLru<K, V> {
    /// Entries by their numbers; those that are free are in `free`.
    entries: Vec<Option<Entry<K, V>>>,
    free: Vec<usize>,
    tenants: HashMap<TenantId, Tenant<K>>,
    /// Those that have more than a share.
    beyond_share: BTreeSet<TenantId>,
    all: List,
    bytes: usize,
    bytes_max: usize,
    tenant_bytes_max: usize,
}

struct Tenant<K> {
    numbers: HashMap<K, usize>,
    own: List,
    bytes: usize,
}

struct Entry<K, V> {
    tenant: TenantId,
    key: K,
    value: V,
    bytes: usize,
    among_all: Links,
    among_own: Links,
}

/// Entries in the order they were used last.
#[derive(Clone, Copy, Debug, Default)]
struct List {
    newest: Option<usize>,
    oldest: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Links {
    newer: Option<usize>,
    older: Option<usize>,
}

/// The two lists an entry is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Among {
    All,
    Own,
}

impl<K: Clone + Eq + Hash, V> TenantLru<K, V> {
    /// At most so many bytes, of which a tenant has so many for certain.
    pub(crate) fn new(bytes_max: usize, tenant_bytes_max: usize) -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            tenants: HashMap::new(),
            beyond_share: BTreeSet::new(),
            all: List::default(),
            bytes: 0,
            bytes_max,
            tenant_bytes_max,
        }
    }

    /// The value of a key, which has been used by that.
    pub(crate) fn get<Q>(&mut self, tenant: &TenantId, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let number = self.number(tenant, key)?;
        self.touch(number);
        self.entries.get(number)?.as_ref().map(|entry| &entry.value)
    }

    /// Keeps a value of so many bytes in the place of the one there is, and gives that. With it comes what had to make
    /// room: the value itself where it is larger than everything.
    pub(crate) fn insert(&mut self, tenant: &TenantId, key: K, value: V, bytes: usize) -> Inserted<V> {
        let replaced = self.remove(tenant, &key);
        let mut evicted = Vec::new();
        if bytes > self.bytes_max {
            evicted.push(value);
            return Inserted { replaced, evicted };
        }
        self.add(tenant, key, value, bytes);
        while self.bytes > self.bytes_max
            && let Some(number) = self.next_to_go(tenant)
        {
            evicted.extend(self.remove_number(number));
        }
        Inserted { replaced, evicted }
    }

    /// Takes a value out.
    pub(crate) fn remove<Q>(&mut self, tenant: &TenantId, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let number = self.number(tenant, key)?;
        self.remove_number(number)
    }

    /// Takes the values of a tenant out whose keys are of this kind.
    pub(crate) fn remove_where(&mut self, tenant: &TenantId, is_it: impl Fn(&K) -> bool) -> Vec<V> {
        let Some(own) = self.tenants.get(tenant) else { return Vec::new() };
        let numbers: Vec<usize> =
            own.numbers.iter().filter(|(key, _)| is_it(key)).map(|(_, number)| *number).collect();
        numbers.into_iter().filter_map(|number| self.remove_number(number)).collect()
    }

    /// All values.
    pub(crate) fn into_values(self) -> impl Iterator<Item = V> {
        self.entries.into_iter().flatten().map(|entry| entry.value)
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Their bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn number<Q>(&self, tenant: &TenantId, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.tenants.get(tenant)?.numbers.get(key).copied()
    }

    fn add(&mut self, tenant: &TenantId, key: K, value: V, bytes: usize) {
        let number = self.free.pop().unwrap_or(self.entries.len());
        if number == self.entries.len() {
            self.entries.push(None);
        }
        let (among_all, among_own) = (Links::default(), Links::default());
        let (owner, name) = (tenant.clone(), key.clone());
        self.entries[number] = Some(Entry { tenant: owner, key: name, value, bytes, among_all, among_own });
        self.bytes += bytes;
        let own = self.tenants.entry(tenant.clone()).or_insert_with(|| Tenant {
            numbers: HashMap::new(),
            own: List::default(),
            bytes: 0,
        });
        own.numbers.insert(key, number);
        own.bytes += bytes;
        if own.bytes > self.tenant_bytes_max {
            self.beyond_share.insert(tenant.clone());
        }
        self.link(Among::All, number);
        self.link(Among::Own, number);
    }

    fn remove_number(&mut self, number: usize) -> Option<V> {
        self.unlink(Among::All, number);
        self.unlink(Among::Own, number);
        let entry = self.entries.get_mut(number)?.take()?;
        self.free.push(number);
        self.bytes -= entry.bytes;
        if let Some(own) = self.tenants.get_mut(&entry.tenant) {
            own.numbers.remove(&entry.key);
            own.bytes -= entry.bytes;
            if own.bytes <= self.tenant_bytes_max {
                self.beyond_share.remove(&entry.tenant);
            }
            if own.numbers.is_empty() {
                self.tenants.remove(&entry.tenant);
            }
        }
        Some(entry.value)
    }

    /// What goes where a tenant wants room.
    fn next_to_go(&self, tenant: &TenantId) -> Option<usize> {
        let giver = self.beyond_share.get(tenant).or_else(|| self.beyond_share.first());
        match giver {
            Some(giver) => self.tenants.get(giver)?.own.oldest,
            None => self.all.oldest,
        }
    }

    /// Moves an entry to the front of its lists.
    fn touch(&mut self, number: usize) {
        for among in [Among::All, Among::Own] {
            if self.list(among, number).is_some_and(|list| list.newest != Some(number)) {
                self.unlink(among, number);
                self.link(among, number);
            }
        }
    }

    fn list(&mut self, among: Among, number: usize) -> Option<&mut List> {
        match among {
            Among::All => Some(&mut self.all),
            Among::Own => {
                let entry = self.entries.get(number)?.as_ref()?;
                self.tenants.get_mut(&entry.tenant).map(|own| &mut own.own)
            }
        }
    }

    fn links(&mut self, among: Among, number: usize) -> Option<&mut Links> {
        let entry = self.entries.get_mut(number)?.as_mut()?;
        Some(match among {
            Among::All => &mut entry.among_all,
            Among::Own => &mut entry.among_own,
        })
    }

    fn link(&mut self, among: Among, number: usize) {
        let Some(list) = self.list(among, number) else { return };
        let older = list.newest.replace(number);
        list.oldest.get_or_insert(number);
        if let Some(links) = self.links(among, number) {
            *links = Links { newer: None, older };
        }
        if let Some(links) = older.and_then(|older| self.links(among, older)) {
            links.newer = Some(number);
        }
    }

    fn unlink(&mut self, among: Among, number: usize) {
        let Some(Links { newer, older }) = self.links(among, number).map(std::mem::take) else { return };
        if let Some(links) = newer.and_then(|newer| self.links(among, newer)) {
            links.older = older;
        }
        if let Some(links) = older.and_then(|older| self.links(among, older)) {
            links.newer = newer;
        }
        let Some(list) = self.list(among, number) else { return };
        if newer.is_none() {
            list.newest = older;
        }
        if older.is_none() {
            list.oldest = newer;
        }
    }
}

/// What came out where a value was put in.
pub(crate) struct Inserted<V> {
    /// The value of the same key.
    pub(crate) replaced: Option<V>,
    /// What made room.
    pub(crate) evicted: Vec<V>,
}

#[cfg(test)]
impl<K: Clone + Eq + Hash, V> TenantLru<K, V> {
    /// Compares what is counted and linked with what is there.
    pub(crate) fn check(&self) {
        let entries = || self.entries.iter().flatten();
        assert_eq!(self.bytes, entries().map(|entry| entry.bytes).sum::<usize>());
        assert!(self.bytes <= self.bytes_max, "{} bytes are kept", self.bytes);
        assert_eq!(self.len(), entries().count());
        let walk = |list: List, next: fn(&Entry<K, V>) -> Links| {
            let (mut numbers, mut at) = (Vec::new(), list.newest);
            while let Some(number) = at {
                let links = next(self.entries[number].as_ref().unwrap());
                assert_eq!(links.newer, numbers.last().copied());
                numbers.push(number);
                at = links.older;
            }
            assert_eq!(list.oldest, numbers.last().copied());
            numbers.len()
        };
        assert_eq!(walk(self.all, |entry| entry.among_all), entries().count());
        let mut own = 0;
        for (name, tenant) in &self.tenants {
            let count = walk(tenant.own, |entry| entry.among_own);
            assert!(count > 0 && count == tenant.numbers.len());
            own += count;
            let of_tenant = entries().filter(|entry| entry.tenant == *name);
            assert_eq!(tenant.bytes, of_tenant.map(|entry| entry.bytes).sum::<usize>());
            assert_eq!(self.beyond_share.contains(name), tenant.bytes > self.tenant_bytes_max);
        }
        assert_eq!(own, entries().count());
        assert!(self.beyond_share.iter().all(|name| self.tenants.contains_key(name)));
    }
}
