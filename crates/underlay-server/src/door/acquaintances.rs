//! Who was let in before, by the hash of what they said: as many as there is room for, the oldest of a tenant
//! forgotten first, so that one tenant's many take the place of nobody else's few.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use underlay_core::TenantId;

/// Credentials that are remembered as good.
const KNOWN_MAX: usize = 16_384;
/// The same, of one tenant.
const KNOWN_TENANT_MAX: usize = 1_024;

/// What somebody said of who they are, hashed.
pub(super) type Known = [u8; 32];

#[derive(Default)]
pub(super) struct Acquaintances {
    known: HashMap<Known, (TenantId, u64)>,
    /// By the number they came in.
    in_order: BTreeMap<u64, Known>,
    of_tenants: HashMap<TenantId, BTreeSet<u64>>,
    next: u64,
}

impl Acquaintances {
    /// Whose they are.
    pub(super) fn tenant(&self, known: &Known) -> Option<&TenantId> {
        self.known.get(known).map(|(tenant, _)| tenant)
    }

    pub(super) fn remember(&mut self, known: Known, tenant: &TenantId) {
        if self.tenant(&known) == Some(tenant) {
            return;
        }
        self.forget(&known);
        let number = self.next;
        self.next += 1;
        self.known.insert(known, (tenant.clone(), number));
        self.in_order.insert(number, known);
        let own = self.of_tenants.entry(tenant.clone()).or_default();
        own.insert(number);
        let too_many = own.first().filter(|_| own.len() > KNOWN_TENANT_MAX);
        let first = self.in_order.keys().next().filter(|_| self.in_order.len() > KNOWN_MAX);
        let oldest = too_many.or(first).and_then(|number| self.in_order.get(number)).copied();
        if let Some(oldest) = oldest {
            self.forget(&oldest);
        }
    }

    pub(super) fn forget(&mut self, known: &Known) {
        let Some((tenant, number)) = self.known.remove(known) else { return };
        self.in_order.remove(&number);
        if let Some(own) = self.of_tenants.get_mut(&tenant) {
            own.remove(&number);
            if own.is_empty() {
                self.of_tenants.remove(&tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(number: u64) -> Known {
        let mut known = [0; 32];
        known[..8].copy_from_slice(&number.to_le_bytes());
        known
    }

    #[test]
    fn it_is_bounded_in_all_and_for_each_tenant_and_forgets_whole() {
        let tenant = |number: u64| TenantId::new(format!("t{number}")).unwrap();
        let mut all = Acquaintances::default();
        all.remember(known(1 << 40), &tenant(1));
        for number in 0..20_000 {
            all.remember(known(number), &tenant(0));
        }
        assert_eq!(all.known.len(), KNOWN_TENANT_MAX + 1);
        assert_eq!(all.tenant(&known(1 << 40)), Some(&tenant(1)));
        assert_eq!((all.tenant(&known(0)), all.tenant(&known(19_999))), (None, Some(&tenant(0))));
        // Who comes as another tenant's is theirs from then on.
        all.remember(known(19_999), &tenant(1));
        assert_eq!(all.tenant(&known(19_999)), Some(&tenant(1)));
        for number in 0..20_000 {
            all.remember(known(number), &tenant(number));
        }
        assert_eq!((all.known.len(), all.in_order.len()), (KNOWN_MAX, KNOWN_MAX));
        for number in 0..20_000 {
            all.forget(&known(number));
        }
        all.forget(&known(1 << 40));
        assert!(all.known.is_empty() && all.in_order.is_empty() && all.of_tenants.is_empty());
    }
}
