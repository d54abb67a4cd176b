use underlay_core::limits::PAGE_ROWS_MAX;
use underlay_core::{
    Checkpoint, Error, Position, RowAddress, RowValues, ScannedRows, Value, ViewSchema, ViewTable,
};

use super::Subject;
use super::subject::{row, schema};
use crate::concurrent::{Beside, finished};
use crate::{ReadModelsFixture, sample};

impl Subject {
    /// A page of every row, above an address.
    async fn scan(&self, after: Option<&RowAddress>, limit: usize) -> ScannedRows {
        self.models.scan(&self.table, after, limit).await.expect("scan answers")
    }

    /// Every row of every tenant, by pages of so many.
    async fn scan_all(&self, limit: usize) -> Vec<(RowAddress, RowValues)> {
        let mut rows: Vec<(RowAddress, RowValues)> = Vec::new();
        loop {
            let page = self.scan(rows.last().map(|(address, _)| address), limit).await;
            assert_eq!(page.checkpoint, self.checkpoint().await, "a page has the place of its rows");
            assert!(page.rows.len() <= limit, "a page of {limit} has {} rows", page.rows.len());
            assert!(!page.more || !page.rows.is_empty(), "a page moves on");
            rows.extend(page.rows.into_iter().filter_map(|(address, row)| Some((address, row.values?))));
            if !page.more {
                return rows;
            }
        }
    }
}

/// Sentence 23: a scan yields every row of a generation, of every tenant, once and in the order of tenants and keys,
/// each page with the checkpoint its rows lead to.
pub async fn a_scan_yields_every_row<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    assert_eq!(subject.scan_all(10).await, []);
    let mut expected = Vec::new();
    let mut changes = Vec::new();
    for tenant in ["acme", "acm", "globex"] {
        let own = subject.seen_by(tenant);
        let keys = sample::HOSTILE_TEXTS.iter().copied().chain(["a", "aa", "ab", "b", "Z"]);
        let mut keys: Vec<&str> = keys.filter(|key| own.address(key).validate().is_ok()).collect();
        keys.sort_unstable();
        keys.dedup();
        for (number, key) in (0..).zip(keys) {
            changes.push(own.upsert(key, row(key, number)));
            expected.push((own.address(key), row(key, number)));
        }
    }
    subject.apply(changes).await;
    expected.sort_by(|(one, _), (other, _)| one.cmp(other));
    for limit in [1, 2, 7, expected.len(), PAGE_ROWS_MAX] {
        assert_eq!(subject.scan_all(limit).await, expected, "by pages of {limit}");
    }
    // An address is a place whether there is a row or not.
    for at in [RowAddress { tenant: sample::tenant("b"), key: "0".to_owned() }, expected[3].0.clone()] {
        let above: Vec<_> = expected.iter().filter(|(address, _)| *address > at).cloned().collect();
        let page = subject.scan(Some(&at), PAGE_ROWS_MAX).await;
        let found: Vec<_> = page.rows.into_iter().map(|(address, row)| (address, row.values)).collect();
        let above: Vec<_> = above.into_iter().map(|(address, row)| (address, Some(row))).collect();
        assert_eq!(found, above, "above {at:?}");
    }

    // A generation that is built has rows of its own, and one that is not there none.
    let start = Checkpoint::start(subject.log);
    let table = subject.models.begin_generation(&schema(), start).await.expect("a generation is begun");
    let building = subject.at_table(&table);
    building.apply(vec![building.upsert("built", row("built", 1))]).await;
    assert_eq!(building.scan_all(5).await, [(building.address("built"), row("built", 1))]);
    assert_eq!(subject.scan_all(5).await, expected);
    let missing = ViewTable { generation: table.generation + 1, ..table };
    let refused = subject.models.scan(&missing, None, 5).await;
    assert!(matches!(refused, Err(Error::NotFound(_))), "{refused:?}");
    for limit in [0, PAGE_ROWS_MAX + 1] {
        let refused = subject.models.scan(&subject.table, None, limit).await;
        let Err(Error::Invalid(reason)) = refused else { panic!("{limit} rows: {refused:?}") };
        assert!(reason.contains("PAGE_ROWS_MAX"), "{reason}");
    }
    pages_are_of_one_moment(&subject).await;
}

/// Every batch sets every row to its position: a page that shows two values, or another position, has seen half a batch.
async fn pages_are_of_one_moment(subject: &Subject) {
    let keys = ["a", "b", "c", "d", "e"];
    let own = subject.seen_by("zeta");
    let write = |number: u64| keys.map(|key| own.upsert(key, row("whole", number as i64))).to_vec();
    let start = own.checkpoint().await.position.number() + 1;
    own.apply(write(start)).await;
    let beside = Beside::default();
    let reader = |_| {
        let (own, beside) = (own.clone(), beside.clone());
        tokio::spawn(async move {
            let before = RowAddress { tenant: own.tenant.clone(), key: "0".to_owned() };
            loop {
                let last_read = beside.is_last_read().await;
                let page = own.scan(Some(&before), keys.len()).await;
                let position = page.checkpoint.position;
                // What reflects more than the checkpoint says so.
                let settled = page.rows.iter().filter(|(_, row)| row.reflects <= position);
                for (address, row) in settled {
                    let entries = row.values.as_ref().map(|values| &values[1]);
                    let expected = Value::Integer(position.number() as i64);
                    assert_eq!(entries, Some(&expected), "{address:?} at {position}");
                }
                if last_read {
                    return position;
                }
            }
        })
    };
    let readers: Vec<_> = (0..2).map(reader).collect();
    let mut writes = 0;
    while beside.goes_on(writes, 100).await {
        writes += 1;
        own.apply(write(start + writes as u64)).await;
    }
    beside.finish();
    for reader in readers {
        let last = finished(reader).await;
        assert_eq!(last, Position::from_number(start + writes as u64), "the readers came to the last batch");
    }
}

/// Sentence 24: a table that nobody altered is as it was made.
pub async fn an_untouched_table_is_as_it_was_made<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let untouched = async |table: &ViewTable| {
        let found = subject.models.alterations(table).await.expect("alterations answers");
        assert_eq!(found, Vec::<String>::new(), "{}", table.schema.name);
    };
    untouched(&subject.table).await;
    subject.apply(vec![subject.upsert("a", row("ann", 1))]).await;
    untouched(&subject.table).await;

    // Names that are words of SQL, as long as they may be, and a view without a column.
    let mut columns = schema().rows.columns;
    for (column, name) in columns.iter_mut().zip(["order", "between", "select", "user", "default", "limit"]) {
        column.name = name.to_owned();
    }
    let long = format!("v{}", "x".repeat(underlay_core::limits::NAME_BYTES_MAX - 1));
    let start = Checkpoint::start(subject.log);
    for other in [
        ViewSchema::new(long, 1, columns.clone()),
        ViewSchema::new("order", 1, columns),
        ViewSchema::new("bare", 1, Vec::new()),
    ] {
        let table = subject.models.prepare(&other, start).await.expect("a view is prepared");
        untouched(&table).await;
        let next = subject.models.begin_generation(&other, start).await.expect("a generation is begun");
        untouched(&next).await;
    }
    let missing = ViewTable { generation: 77, ..subject.table.clone() };
    let refused = subject.models.alterations(&missing).await;
    assert!(matches!(refused, Err(Error::NotFound(_))), "{refused:?}");
}
