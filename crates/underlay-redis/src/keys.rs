//! The names of keys.
//!
//! All keys of a tenant begin with `{PREFIX:TENANT}`: what is within the braces is the hash tag of a cluster, so they are
//! in one slot. Neither a prefix nor a tenant can hold a brace or a colon. What callers choose, an id or a key of the
//! cache, stands last, so that nothing follows which it could be taken for.
//!
//! All keys of views and leases begin with `{PREFIX}`: a batch changes rows of several tenants, the checkpoint and nothing of
//! others, so all of that is in one slot too.
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
//! | `{PREFIX}:views` | a set: the names of views |
//! | `{PREFIX}:discarded` | a hash: `VIEW:NUMBER` of generations that are to be swept, with their indexed columns |
//! | `{PREFIX}:v:VIEW` | a hash: its generations with their checkpoints, and what is ordered of it |
//! | `{PREFIX}:s:VIEW` | a hash: the events that a person has skipped |
//! | `{PREFIX}:p:VIEW:NUMBER` | a sorted set: the events that a generation has passed over |
//! | `{PREFIX}:t:VIEW:NUMBER` | a sorted set: the tenants it has rows of |
//! | `{PREFIX}:r:VIEW:NUMBER:TENANT:m` | where in the log the tenant's rows changed last |
//! | `{PREFIX}:r:VIEW:NUMBER:TENANT:k` | a sorted set: their keys |
//! | `{PREFIX}:r:VIEW:NUMBER:TENANT:i:COLUMN` | a sorted set: the index of a column |
//! | `{PREFIX}:r:VIEW:NUMBER:TENANT:e:KEY` | a hash: a row |
//! | `{PREFIX}:l:NAME` | a hash: a lease |

use underlay_core::{TenantId, ViewTable};

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

    /// The names of views.
    pub(crate) fn views(&self) -> String {
        format!("{{{}}}:views", self.prefix)
    }

    /// The generations that are to be swept.
    pub(crate) fn discarded(&self) -> String {
        format!("{{{}}}:discarded", self.prefix)
    }

    /// A view.
    pub(crate) fn view(&self, view: &str) -> String {
        format!("{{{}}}:v:{view}", self.prefix)
    }

    /// The events of a view that were skipped.
    pub(crate) fn skipped(&self, view: &str) -> String {
        format!("{{{}}}:s:{view}", self.prefix)
    }

    /// What the keys of the events begin with that generations have passed over; `VIEW:NUMBER` follows.
    pub(crate) fn all_parked(&self) -> String {
        format!("{{{}}}:p:", self.prefix)
    }

    /// The same of the tenants that generations have rows of.
    pub(crate) fn all_tenants(&self) -> String {
        format!("{{{}}}:t:", self.prefix)
    }

    /// The same of their rows.
    pub(crate) fn all_rows(&self) -> String {
        format!("{{{}}}:r:", self.prefix)
    }

    /// The events that a generation has passed over.
    pub(crate) fn parked(&self, table: &ViewTable) -> String {
        format!("{}{}:{}", self.all_parked(), table.schema.name, table.generation)
    }

    /// The tenants that a generation has rows of.
    pub(crate) fn tenants(&self, table: &ViewTable) -> String {
        format!("{}{}:{}", self.all_tenants(), table.schema.name, table.generation)
    }

    /// What the keys of all rows of a generation begin with; the tenant follows.
    pub(crate) fn rows(&self, table: &ViewTable) -> String {
        format!("{}{}:{}:", self.all_rows(), table.schema.name, table.generation)
    }

    /// The rows of a tenant in a generation.
    pub(crate) fn rows_of(&self, table: &ViewTable, tenant: &TenantId) -> RowKeys {
        let all = format!("{}{tenant}:", self.rows(table));
        RowKeys { keys: format!("{all}k"), indexes: format!("{all}i:"), hashes: format!("{all}e:") }
    }

    /// What is set whenever they change.
    pub(crate) fn mark_of(&self, table: &ViewTable, tenant: &TenantId) -> String {
        format!("{}{tenant}:m", self.rows(table))
    }

    /// A lease.
    pub(crate) fn lease(&self, name: &str) -> String {
        format!("{{{}}}:l:{name}", self.prefix)
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

/// The names of the keys of rows that are found by the same indexes.
#[derive(Clone, Debug)]
pub(crate) struct RowKeys {
    keys: String,
    indexes: String,
    hashes: String,
}

impl RowKeys {
    /// The index of a column, or that of the keys.
    pub(crate) fn index_of(&self, column: Option<&str>) -> String {
        column.map_or_else(|| self.keys.clone(), |column| format!("{}{column}", self.indexes))
    }

    /// What the keys of the hashes begin with.
    pub(crate) fn hashes(&self) -> &str {
        &self.hashes
    }

    /// The hash of a row.
    pub(crate) fn hash(&self, key: &str) -> String {
        format!("{}{key}", self.hashes)
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

    /// The keys of entities of one name.
    pub(crate) fn entities(&self, entity: &str) -> RowKeys {
        RowKeys { keys: self.ids(entity), indexes: self.index(entity, ""), hashes: self.entity(entity, "") }
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
