use tokio_postgres::types::Type;
use underlay_core::adapter::{safe_order, stored_number};
use underlay_core::{Change, EntityChange, TenantId};

use crate::connections::session::{Parameter, Statement};
use crate::rows::values::Array;
use crate::units::entity_table::EntityTables;

/// Changes of entities of a tenant, as statements.
pub(crate) struct Unit<'c> {
    pub(crate) tables: &'c EntityTables,
    pub(crate) tenant: &'c TenantId,
    /// In the safe order.
    pub(crate) groups: Vec<Group<'c>>,
    owner: &'c str,
}

/// Changes of one kind to entities of one shape, in the order of their ids.
pub(crate) struct Group<'c> {
    /// One of them, the first.
    pub(crate) first: &'c EntityChange,
    pub(crate) changes: Vec<&'c EntityChange>,
    pub(crate) ids: Vec<&'c str>,
    sql: String,
    count: i64,
    expected: Vec<Option<i64>>,
    columns: Vec<Array<'c>>,
}

impl<'c> Group<'c> {
    fn new(tables: &EntityTables, change: &'c EntityChange) -> Self {
        let columns = match change.change {
            Change::Delete { .. } => &[],
            Change::Create(_) | Change::Update { .. } => change.schema.columns.as_slice(),
        };
        Self {
            first: change,
            changes: Vec::new(),
            ids: Vec::new(),
            sql: tables.write(change),
            count: 0,
            expected: Vec::new(),
            columns: columns.iter().map(|column| Array::new(column.column_type)).collect(),
        }
    }

    /// Whether a change goes by the same statement.
    fn takes(&self, change: &EntityChange) -> bool {
        std::mem::discriminant(&self.first.change) == std::mem::discriminant(&change.change)
            && self.first.schema == change.schema
    }

    fn push(&mut self, change: &'c EntityChange) {
        self.changes.push(change);
        self.count += 1;
        self.ids.push(&change.id);
        self.expected.push(change.expected().map(|version| stored_number(version.0)));
        for (array, value) in self.columns.iter_mut().zip(change.values().unwrap_or_default()) {
            array.push(value);
        }
    }

    /// As [`EntityTables::write`] takes them.
    fn statement<'s>(&'s self, tenant: &'s &'c str) -> Statement<'s> {
        let mut parameters: Vec<Parameter<'_>> =
            vec![(tenant, Type::TEXT), (&self.count, Type::INT8), (&self.ids, Type::TEXT_ARRAY)];
        if !matches!(self.first.change, Change::Create(_)) {
            parameters.push((&self.expected, Type::INT8_ARRAY));
        }
        parameters.extend(self.columns.iter().map(Array::parameter));
        Statement::new(&self.sql, parameters)
    }
}

impl<'c> Unit<'c> {
    /// Changes that were checked.
    pub(crate) fn new(tables: &'c EntityTables, tenant: &'c TenantId, changes: &'c [EntityChange]) -> Self {
        let mut groups: Vec<Group<'c>> = Vec::new();
        for at in safe_order(changes) {
            let change = &changes[at];
            match groups.last_mut() {
                Some(group) if group.takes(change) => group.push(change),
                _ => {
                    let mut group = Group::new(tables, change);
                    group.push(change);
                    groups.push(group);
                }
            }
        }
        Self { tables, tenant, groups, owner: tenant.as_str() }
    }

    /// What changes them, in the order it must be sent in.
    pub(crate) fn statements(&self) -> Vec<Statement<'_>> {
        self.groups.iter().map(|group| group.statement(&self.owner)).collect()
    }

    /// A change that the statement at this place makes.
    pub(crate) fn change_of(&self, statement: usize) -> Option<&'c EntityChange> {
        Some(self.groups.get(statement)?.first)
    }
}
