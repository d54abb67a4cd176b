//! Rows of a view between two stores: folded page by page, stored together.

use std::collections::HashMap;

use underlay_core::{LoadedRow, Position, RowAddress, RowChange, RowValues, Timestamp, Value};

/// Rows that a view has folded and not stored yet. They reflect every event up to where the view has
/// looked, and go with the step that fails: the rows that are stored are the truth.
#[derive(Debug, Default)]
pub(crate) struct HeldRows {
    rows: Vec<HeldRow>,
    places: HashMap<RowAddress, usize>,
    bytes: usize,
    since: Option<Timestamp>,
}

#[derive(Debug)]
struct HeldRow {
    address: RowAddress,
    values: Option<RowValues>,
    is_stored: bool,
    /// As it was loaded; see [`LoadedRow::reflects`].
    reflects: Position,
}

impl HeldRows {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// About how many bytes they hold.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the first of them came; none where there are none.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// Where rows are held, in the order of their addresses; and the addresses that are not held yet,
    /// which get the places after all others.
    pub(crate) fn find(&self, addresses: Vec<RowAddress>) -> (Vec<usize>, Vec<RowAddress>) {
        let mut missing = Vec::new();
        let places = addresses.into_iter().map(|address| match self.places.get(&address) {
            Some(place) => *place,
            None => {
                missing.push(address);
                self.rows.len() + missing.len() - 1
            }
        });
        (places.collect(), missing)
    }

    /// Takes the rows that were missing, as they are stored.
    pub(crate) fn hold(&mut self, missing: Vec<RowAddress>, stored: Vec<LoadedRow>, now: Timestamp) {
        self.since.get_or_insert(now);
        for (address, LoadedRow { values, reflects }) in missing.into_iter().zip(stored) {
            self.bytes += address.key.len() + values_bytes(values.as_ref());
            self.places.insert(address.clone(), self.rows.len());
            self.rows.push(HeldRow { address, is_stored: values.is_some(), values, reflects });
        }
    }

    /// The rows at places.
    pub(crate) fn rows(&self, places: &[usize]) -> Vec<LoadedRow> {
        let row = |row: &HeldRow| LoadedRow { values: row.values.clone(), reflects: row.reflects };
        places.iter().map(|place| row(&self.rows[*place])).collect()
    }

    /// Replaces the values at places; none removes the row.
    pub(crate) fn replace(&mut self, places: &[usize], values: Vec<Option<RowValues>>) {
        for (place, values) in places.iter().zip(values) {
            let row = &mut self.rows[*place];
            self.bytes += values_bytes(values.as_ref());
            self.bytes -= values_bytes(row.values.as_ref());
            row.values = values;
        }
    }

    /// Gives away everything, as the changes that store it.
    pub(crate) fn take_changes(&mut self) -> Vec<RowChange> {
        let rows = std::mem::take(self).rows;
        let change = |row: HeldRow| match row.values {
            Some(values) => Some(RowChange::Upsert(row.address, values)),
            None => row.is_stored.then_some(RowChange::Delete(row.address)),
        };
        rows.into_iter().filter_map(change).collect()
    }
}

fn values_bytes(values: Option<&RowValues>) -> usize {
    let value = |value: &Value| match value {
        Value::Text(text) => size_of::<Value>() + text.len(),
        _ => size_of::<Value>(),
    };
    values.map_or(0, |values| values.iter().map(value).sum())
}

#[cfg(test)]
mod tests {
    use underlay_core::TenantId;

    use super::*;

    fn address(key: &str) -> RowAddress {
        RowAddress { tenant: TenantId::new("acme").unwrap(), key: key.to_owned() }
    }

    fn row(text: &str) -> Option<RowValues> {
        Some(vec![Value::Text(text.to_owned())])
    }

    fn stored(rows: impl IntoIterator<Item = Option<RowValues>>) -> Vec<LoadedRow> {
        rows.into_iter().map(LoadedRow::from).collect()
    }

    #[test]
    fn what_was_folded_before_is_folded_on() {
        let mut held = HeldRows::default();
        let (a, b) = (address("a"), address("b"));
        assert_eq!(held.find(vec![a.clone()]), (vec![0], vec![a.clone()]));
        held.hold(vec![a.clone()], stored([row("1")]), Timestamp::UNIX_EPOCH);
        held.replace(&[0], vec![row("12")]);
        assert_eq!(held.find(vec![b.clone(), a.clone()]), (vec![1, 0], vec![b.clone()]));
        held.hold(vec![b.clone()], stored([None]), Timestamp::MAX);
        assert_eq!(held.rows(&[1, 0]), stored([None, row("12")]));
        assert_eq!(held.since(), Some(Timestamp::UNIX_EPOCH), "the first counts");
        held.replace(&[1, 0], vec![row("3"), row("123")]);
        let changes = [RowChange::Upsert(a, row("123").unwrap()), RowChange::Upsert(b, row("3").unwrap())];
        assert_eq!(held.take_changes(), changes);
        assert!(held.is_empty() && held.since().is_none());
    }

    #[test]
    fn only_rows_that_are_stored_are_deleted() {
        let mut held = HeldRows::default();
        let both = vec![address("stored"), address("fleeting")];
        held.hold(both, stored([row("1"), None]), Timestamp::UNIX_EPOCH);
        held.replace(&[0, 1], vec![row("12"), row("1")]);
        held.replace(&[0, 1], vec![None, None]);
        assert_eq!(held.take_changes(), [RowChange::Delete(address("stored"))]);
    }

    #[test]
    fn bytes_follow_the_values() {
        let mut held = HeldRows::default();
        held.hold(vec![address("key")], stored([row("1234")]), Timestamp::UNIX_EPOCH);
        let value = size_of::<Value>();
        assert_eq!((held.len(), held.bytes()), (1, value + 3 + 4));
        held.replace(&[0], vec![row("12345678")]);
        assert_eq!(held.bytes(), value + 3 + 8);
        held.replace(&[0], vec![None]);
        assert_eq!(held.bytes(), 3);
    }
}
