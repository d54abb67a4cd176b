//! Who writes at the moment, where there is a second tier.
//!
//! A value that was read from the outer tier is kept in the process only where nobody has written its key meanwhile, and one
//! that was written only where nobody else has. Otherwise the two tiers could differ: two writers may come to them in
//! different orders. Whoever finds that another one was there takes the key out of the process, and the next reader asks the
//! outer tier.
//!
//! A value that was loaded before it was invalidated may come to the outer tier after that, and is taken away again. While such a
//! value is on its way, what the outer tier says of its key is not believed.
//!
//! Keys share a bounded number of stripes, so one may be taken for another. That costs a read of the outer tier, or a load.

use std::hash::{BuildHasher, RandomState};

use underlay_core::TenantId;

/// Stripes of keys, and of tenants whose values are taken away by tag, by pattern or all at once.
const KEY_STRIPES: usize = 4_096;
const TENANT_STRIPES: usize = 256;

#[derive(Clone, Copy, Default)]
struct Stripe {
    /// Writes that were begun.
    begun: u64,
    /// Writes that go on.
    writers: u64,
    /// Writes of values that were loaded: how many were begun, and how many go on.
    loads_begun: u64,
    loads: u64,
}

/// The writes of a process.
pub(super) struct Writes {
    keys: Box<[Stripe]>,
    tenants: Box<[Stripe]>,
    /// How often everything was forgotten.
    forgotten: u64,
    hasher: RandomState,
}

/// What holds as long as nobody begins to write a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quiet {
    key: (usize, u64),
    tenant: (usize, u64),
    forgotten: u64,
}

/// A read of a key in the outer tier.
pub(super) struct Read {
    /// None where somebody wrote when it began.
    quiet: Option<Quiet>,
    /// The stripe, and the loads that were written to it; none where one was on its way.
    trusted: Option<(usize, u64)>,
}

/// What a read has found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// It may be kept in the process.
    Kept,
    /// It is as good as any answer, and may be older than what comes next.
    Told,
    /// It may be older than what was taken away before it was asked for.
    Nothing,
}

/// A write of a key that goes on.
pub(super) struct Write {
    stripe: usize,
    is_load: bool,
    /// None where it was not alone when it began.
    alone: Option<Quiet>,
}

/// A write of all keys of a tenant that goes on.
pub(super) struct Sweep(usize);

impl Default for Writes {
    fn default() -> Self {
        let stripes = |count| vec![Stripe::default(); count].into_boxed_slice();
        Self {
            keys: stripes(KEY_STRIPES),
            tenants: stripes(TENANT_STRIPES),
            forgotten: 0,
            hasher: RandomState::new(),
        }
    }
}

impl Writes {
    fn places(&self, tenant: &TenantId, key: &str) -> (usize, usize) {
        let place = |hash: u64, count: usize| usize::try_from(hash % count as u64).unwrap_or_default();
        (
            place(self.hasher.hash_one((tenant.as_str(), key)), KEY_STRIPES),
            place(self.hasher.hash_one(tenant.as_str()), TENANT_STRIPES),
        )
    }

    fn now(&self, (key, tenant): (usize, usize)) -> Quiet {
        Quiet {
            key: (key, self.keys[key].begun),
            tenant: (tenant, self.tenants[tenant].begun),
            forgotten: self.forgotten,
        }
    }

    /// Before a key is read.
    pub(super) fn read(&self, tenant: &TenantId, key: &str) -> Read {
        let (stripe, _) = self.places(tenant, key);
        let Stripe { loads, loads_begun, .. } = self.keys[stripe];
        Read { quiet: self.quiet(tenant, key), trusted: (loads == 0).then_some((stripe, loads_begun)) }
    }

    /// What the answer is worth.
    pub(super) fn worth(&self, read: &Read) -> Worth {
        let is_trusted = read.trusted.is_some_and(|(stripe, begun)| self.keys[stripe].loads_begun == begun);
        match &read.quiet {
            Some(since) if is_trusted && self.is_quiet(since) => Worth::Kept,
            _ if is_trusted => Worth::Told,
            _ => Worth::Nothing,
        }
    }

    /// Before a key is written; none where somebody writes it.
    fn quiet(&self, tenant: &TenantId, key: &str) -> Option<Quiet> {
        let places = self.places(tenant, key);
        let is_quiet = self.keys[places.0].writers == 0 && self.tenants[places.1].writers == 0;
        is_quiet.then(|| self.now(places))
    }

    /// Whether nobody has begun to write since then.
    fn is_quiet(&self, since: &Quiet) -> bool {
        *since == self.now((since.key.0, since.tenant.0))
    }

    /// - `is_load`: whether what is written was loaded, and may have been invalidated since the load began.
    pub(super) fn begin(&mut self, tenant: &TenantId, key: &str, is_load: bool) -> Write {
        let was_quiet = self.quiet(tenant, key).is_some();
        let places = self.places(tenant, key);
        let stripe = &mut self.keys[places.0];
        stripe.begun += 1;
        stripe.writers += 1;
        stripe.loads_begun += u64::from(is_load);
        stripe.loads += u64::from(is_load);
        Write { stripe: places.0, is_load, alone: was_quiet.then(|| self.now(places)) }
    }

    /// Whether it was alone from its beginning to its end.
    pub(super) fn end(&mut self, write: &Write) -> bool {
        let stripe = &mut self.keys[write.stripe];
        stripe.writers -= 1;
        stripe.loads -= u64::from(write.is_load);
        write.alone.is_some_and(|since| self.is_quiet(&since))
    }

    pub(super) fn begin_sweep(&mut self, tenant: &TenantId) -> Sweep {
        let (_, stripe) = self.places(tenant, "");
        self.tenants[stripe].begun += 1;
        self.tenants[stripe].writers += 1;
        Sweep(stripe)
    }

    pub(super) fn end_sweep(&mut self, sweep: &Sweep) {
        self.tenants[sweep.0].writers -= 1;
    }

    /// Nothing that was read or written before is kept.
    pub(super) fn forget(&mut self) {
        self.forgotten += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    #[test]
    fn a_write_that_overlaps_another_is_not_alone_nor_is_the_other() {
        let mut writes = Writes::default();
        let of = tenant("a");
        let first = writes.begin(&of, "k", false);
        assert!(writes.end(&first));
        let first = writes.begin(&of, "k", false);
        let second = writes.begin(&of, "k", true);
        assert!(!writes.end(&first), "another one began");
        assert!(!writes.end(&second), "another one went on");
        let third = writes.begin(&of, "k", false);
        assert!(writes.end(&third));
    }

    #[test]
    fn a_read_is_kept_only_where_nobody_writes_its_key_or_sweeps_its_tenant() {
        let mut writes = Writes::default();
        let of = tenant("a");
        // One that shares no stripe with it.
        let (key, own) = writes.places(&of, "k");
        let is_apart = |other: &TenantId| {
            let places = writes.places(other, "k");
            places.0 != key && places.1 != own
        };
        let other = (0..).map(|number| tenant(&format!("t{number}"))).find(is_apart).unwrap();

        let before = writes.read(&of, "k");
        assert_eq!(writes.worth(&before), Worth::Kept);
        let write = writes.begin(&of, "k", false);
        let during = writes.read(&of, "k");
        writes.end(&write);
        assert_eq!([writes.worth(&before), writes.worth(&during)], [Worth::Told; 2]);

        let (before, elsewhere) = (writes.read(&of, "k"), writes.read(&other, "k"));
        let sweep = writes.begin_sweep(&of);
        let during = writes.read(&of, "k");
        writes.end_sweep(&sweep);
        assert_eq!([writes.worth(&before), writes.worth(&during)], [Worth::Told; 2]);
        assert_eq!(writes.worth(&elsewhere), Worth::Kept, "it is of another tenant");

        let before = writes.read(&of, "k");
        let load = writes.begin(&of, "k", true);
        let during = writes.read(&of, "k");
        writes.end(&load);
        assert_eq!([writes.worth(&before), writes.worth(&during)], [Worth::Nothing; 2]);
        assert_eq!(writes.worth(&elsewhere), Worth::Kept, "it is another key");

        let before = writes.read(&of, "k");
        writes.forget();
        assert_eq!(writes.worth(&before), Worth::Told);
    }
}
