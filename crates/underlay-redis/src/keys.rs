//! The names of keys.
//!
//! All keys of a tenant begin with `{PREFIX:TENANT}`: what is within the braces is the hash tag of a cluster, so they are
//! in one slot. Neither a prefix nor a tenant can hold a brace or a colon. What callers choose, an id or a key of the
//! cache, stands last, so that nothing follows which it could be taken for.
//!
//! | Key | Holds |
//! |---|---|
//! | `{PREFIX}:entities` | a hash: the definition of each entity |
//! | `{…}:d:NAME` | a hash: by which definition the tenant's entities are stored |
//! | `{…}:k:NAME` | a sorted set: their ids |
//! | `{…}:i:NAME:COLUMN` | a sorted set: the index of a column |
//! | `{…}:u:NAME:COLUMN` | a hash: who has a unique value |
//! | `{…}:e:NAME:ID` | a hash: an entity |
//! | `{…}:c:v:KEY` | a hash: a value of the cache, with the marks of its tags |
//! | `{…}:c:t:TAG` | the mark of a tag |
//! | `{…}:c:a` | the mark of the tenant |

use underlay_core::TenantId;

/// The names of keys of one installation.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The definitions of entities.
    pub(crate) fn definitions(&self) -> String {
        format!("{{{}}}:entities", self.prefix)
    }

    /// The names of keys of a tenant.
    pub(crate) fn of(&self, tenant: &TenantId) -> TenantKeys {
        TenantKeys { tag: format!("{{{}:{tenant}}}", self.prefix) }
    }

    /// A pattern of the keys that say by which definition the entities of a tenant are stored, of every tenant.
    pub(crate) fn definitions_of_tenants(&self, entity: &str) -> String {
        format!("{{{}:*}}:d:{entity}", self.prefix)
    }

    /// A pattern of the marks of all tenants.
    pub(crate) fn everything_cached_of_tenants(&self) -> String {
        format!("{{{}:*}}:c:a", self.prefix)
    }

    /// The tenant of a key that fits that pattern.
    pub(crate) fn tenant_of(&self, key: &str, entity: &str) -> Option<TenantId> {
        let rest = key.strip_prefix('{')?.strip_prefix(&self.prefix)?.strip_prefix(':')?;
        TenantId::new(rest.strip_suffix(entity)?.strip_suffix("}:d:")?).ok()
    }
}

/// The names of keys of one tenant.
#[derive(Clone, Debug)]
pub(crate) struct TenantKeys {
    tag: String,
}

impl TenantKeys {
    /// By which definition the tenant's entities are stored.
    pub(crate) fn definition(&self, entity: &str) -> String {
        format!("{}:d:{entity}", self.tag)
    }

    /// The ids of entities.
    pub(crate) fn ids(&self, entity: &str) -> String {
        format!("{}:k:{entity}", self.tag)
    }

    /// The index of a column.
    pub(crate) fn index(&self, entity: &str, column: &str) -> String {
        format!("{}:i:{entity}:{column}", self.tag)
    }

    /// Who has a unique value of a column.
    pub(crate) fn unique(&self, entity: &str, column: &str) -> String {
        format!("{}:u:{entity}:{column}", self.tag)
    }

    /// An entity; of an empty id what the keys of all begin with.
    pub(crate) fn entity(&self, entity: &str, id: &str) -> String {
        format!("{}:e:{entity}:{id}", self.tag)
    }

    /// A value of the cache.
    pub(crate) fn cached(&self, key: &str) -> String {
        format!("{}:c:v:{key}", self.tag)
    }

    /// What the server finds the values of the cache by whose keys match a pattern, in which only stars have a meaning.
    pub(crate) fn cached_matching(&self, pattern: &str) -> String {
        let mut escaped = String::with_capacity(pattern.len());
        for sign in pattern.chars() {
            if matches!(sign, '?' | '[' | ']' | '\\') {
                escaped.push('\\');
            }
            escaped.push(sign);
        }
        self.cached(&escaped)
    }

    /// The mark of a tag; of an empty one what the keys of all begin with.
    pub(crate) fn tag(&self, tag: &str) -> String {
        format!("{}:c:t:{tag}", self.tag)
    }

    /// The mark of the tenant.
    pub(crate) fn everything_cached(&self) -> String {
        format!("{}:c:a", self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_read_back_from_its_key() {
        let keys = Keys::new("underlay");
        let tenant = TenantId::new("a.b_c-d").unwrap();
        let key = keys.of(&tenant).definition("rate");
        assert_eq!(key, "{underlay:a.b_c-d}:d:rate");
        assert_eq!(keys.tenant_of(&key, "rate"), Some(tenant));
        for other in
            ["{underlay:a}:d:rates", "{underlay2:a}:d:rate", "{underlay:a}:i:rate", "x{underlay:a}:d:rate"]
        {
            assert_eq!(keys.tenant_of(other, "rate"), None, "{other}");
        }
    }
}
