//! Compares every row that is read with the one that is folded anew, while events go on to come.
//!
//! The rows that are read have come to some place when a page of them is scanned, and the page says which. The
//! generation that is built beside them is folded to that very place, and no further; then the same range of it is
//! scanned. So the rows of a page are compared at one place, the next page at a later one, and nobody waits: neither
//! those who read the rows nor who folds them. What is in memory is a page of each.
//!
//! A store that cannot change rows and checkpoint together says what each of its rows reflects. A page with a row that is
//! beyond the checkpoint is scanned again, until the checkpoint has come there too.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::Duration;

use underlay_core::{
    Checkpoint, Error, LoadedRow, Position, RowAddress, RowValues, ScannedRows, Value, ViewSchema, ViewTable,
};

use super::Views;
use super::fold::ViewFolder;
use super::order::{OrderState, RowDifference, Verified, ViewTask};
use super::orders::Underway;
use super::progress::{Progress, ViewHalt};
use super::rebuild::Watcher;
use crate::subscription::{Advance, FOREIGN_POLL_INTERVAL, has_passed};

/// Rows that are compared at once.
const COMPARED_ROWS: usize = 500;
/// Differences that are kept; the others are counted.
const DIFFERENCES_KEPT_MAX: usize = 20;
/// Bytes that are kept of a key, and of a value.
const DIFFERENCE_TEXT_BYTES_MAX: usize = 256;
/// How long the checkpoint of the rows that are read may take to come to where a row of them is.
const SETTLED_WAIT_MAX: Duration = Duration::from_secs(30);

impl Underway<'_> {
    /// Compares the rows that are read with a generation that is built, from where the comparison was. Whether the
    /// generation is to be swapped in.
    pub(super) async fn verify(
        &mut self,
        folder: &dyn ViewFolder,
        built: &mut Progress,
    ) -> Result<bool, ViewHalt> {
        let views = self.views;
        let schema = folder.schema();
        let read = views.read_generation(&schema).await?;
        // What was compared of rows that are not read any more says nothing of those that are.
        let compared = self.order.verified.as_ref().map(|verified| verified.generation);
        if compared != Some(Some(read.generation)) {
            let alterations = views.rows(&schema.name).alterations(&read).await?;
            let generation = Some(read.generation);
            self.order.verified = Some(Verified { generation, alterations, ..Verified::default() });
        }
        while !self.verified().is_whole {
            let after = self.verified().after.clone().map(|(tenant, key)| RowAddress { tenant, key });
            let served = match self.settled_page(&read, after.as_ref(), built.scanned.position).await {
                Ok(page) => page,
                Err(error) if self.is_of_the_rows(&error) => {
                    let verified = self.verified();
                    verified.unreadable = Some(error.to_string());
                    verified.is_whole = true;
                    break;
                }
                Err(Error::NotFound(_)) => {
                    return Err(Error::invalid(format!(
                        "another generation of view {} is read now; verify it again",
                        schema.name
                    ))
                    .into());
                }
                Err(error) => return Err(error.into()),
            };
            self.fold_to(folder, built, served.checkpoint).await?;
            self.compare_page(&schema, &built.table, after, served).await?;
            self.is_in(OrderState::Comparing, false).await?;
        }
        self.is_in(OrderState::Comparing, true).await?;
        Ok(self.order.task == ViewTask::Repair && self.verified().differs())
    }

    /// Whether an error is about the rows that are read, which a person has altered.
    fn is_of_the_rows(&mut self, error: &Error) -> bool {
        match error {
            Error::Damaged(_) => true,
            Error::NotFound(_) | Error::Backend { .. } | Error::Invalid(_) => {
                !self.verified().alterations.is_empty()
            }
            _ => false,
        }
    }

    /// A page of the rows that are read, none of which reflects more than its checkpoint, which is not before a place.
    async fn settled_page(
        &mut self,
        read: &ViewTable,
        after: Option<&RowAddress>,
        not_before: Position,
    ) -> Result<ScannedRows, Error> {
        let views = self.views;
        let began = views.clock.now();
        loop {
            let page = views.rows(&read.schema.name).scan(read, after, COMPARED_ROWS).await?;
            let at = page.checkpoint.position;
            if at >= not_before && page.rows.iter().all(|(_, row)| row.reflects <= at) {
                return Ok(page);
            }
            if has_passed(SETTLED_WAIT_MAX, began, views.clock.now()) {
                return Err(Error::unavailable(format!(
                    "the rows of view {} stand at position {at} and do not settle; see that a process keeps the view",
                    read.schema.name
                )));
            }
            views.clock.sleep(FOREIGN_POLL_INTERVAL).await;
        }
    }

    /// Folds a generation to a place, and stores it there.
    async fn fold_to(
        &mut self,
        folder: &dyn ViewFolder,
        built: &mut Progress,
        place: Checkpoint,
    ) -> Result<(), ViewHalt> {
        built.until = Some(place);
        self.goes_to(place.position);
        while built.scanned.position < place.position {
            if self.views.fold_page(folder, built).await? == Advance::FoundNothing {
                break;
            }
            self.views.store_where_due(built, false).await?;
            self.came_to(built.scanned.position).await?;
        }
        built.until = None;
        if built.scanned != place {
            return Err(Error::unavailable(format!(
                "the log ends before position {}, which view {} has come to",
                place.position, built.table.schema.name
            ))
            .into());
        }
        Ok(self.views.store_progress(built).await?)
    }

    /// Compares a page of the rows that are read with the same range of a generation at the same place.
    async fn compare_page(
        &mut self,
        schema: &ViewSchema,
        built: &ViewTable,
        after: Option<RowAddress>,
        served: ScannedRows,
    ) -> Result<(), Error> {
        let at = served.checkpoint.position;
        let last = served.rows.last().map(|(address, _)| address.clone()).filter(|_| served.more);
        let mut expected = Expected { views: self.views, built, rows: VecDeque::new(), after, more: true };
        for (address, row) in served.rows {
            // One that was removed is not there.
            let Some(values) = row.values else { continue };
            self.verified().rows += 1;
            loop {
                match expected.next_up_to(&address).await? {
                    Some((other, values)) if other < address => {
                        self.tells(Some(schema), &other, at, None, Some(&values));
                    }
                    Some((_, true_values)) => {
                        if values != true_values {
                            self.tells(Some(schema), &address, at, Some(&values), Some(&true_values));
                        }
                        break;
                    }
                    None => {
                        self.tells(None, &address, at, Some(&values), None);
                        break;
                    }
                }
            }
        }
        while let Some((other, values)) = match &last {
            Some(last) => expected.next_up_to(last).await?,
            None => expected.next().await?,
        } {
            self.tells(None, &other, at, None, Some(&values));
        }
        let verified = self.verified();
        verified.is_whole = last.is_none();
        verified.after = last.map(|last| (last.tenant, last.key));
        Ok(())
    }

    /// Counts a row that differs, and keeps how it does.
    fn tells(
        &mut self,
        schema: Option<&ViewSchema>,
        address: &RowAddress,
        position: Position,
        served: Option<&RowValues>,
        expected: Option<&RowValues>,
    ) {
        let verified = self.verified();
        let difference = |column, served, expected| RowDifference {
            tenant: address.tenant.clone(),
            key: shortened(&address.key),
            position,
            column,
            served,
            expected,
        };
        let mut found = Vec::new();
        match (served, expected) {
            (Some(served), Some(expected)) => {
                verified.changed += 1;
                let columns = schema.map(|schema| schema.columns.as_slice()).unwrap_or_default();
                for (column, (served, expected)) in columns.iter().zip(served.iter().zip(expected)) {
                    if served != expected {
                        found.push(difference(
                            Some(column.name.clone()),
                            Some(text_of(served)),
                            Some(text_of(expected)),
                        ));
                    }
                }
            }
            (Some(served), None) => {
                verified.extra += 1;
                found.push(difference(None, Some(row_text(served)), None));
            }
            (None, Some(expected)) => {
                verified.missing += 1;
                found.push(difference(None, None, Some(row_text(expected))));
            }
            (None, None) => {}
        }
        let room = DIFFERENCES_KEPT_MAX.saturating_sub(verified.first.len());
        verified.first.extend(found.into_iter().take(room));
    }
}

impl Views {
    /// The generation that is read, where it is of this definition and stands in the log.
    async fn read_generation(&self, schema: &ViewSchema) -> Result<ViewTable, Error> {
        let start = Checkpoint::start(self.store.store_id());
        let table = self.rows(&schema.name).prepare(schema, start).await?;
        let checkpoint = self.rows(&schema.name).checkpoint(&table).await?;
        self.check_checkpoint(&schema.name, &checkpoint).await?;
        Ok(table)
    }
}

/// The rows that should be there, from an address on. Nobody else writes them.
struct Expected<'a> {
    views: &'a Views,
    built: &'a ViewTable,
    rows: VecDeque<(RowAddress, RowValues)>,
    /// Where the next page begins.
    after: Option<RowAddress>,
    more: bool,
}

impl Expected<'_> {
    /// The next row, where it is at or before an address.
    async fn next_up_to(&mut self, address: &RowAddress) -> Result<Option<(RowAddress, RowValues)>, Error> {
        self.fill().await?;
        match self.rows.front().map(|(next, _)| next.cmp(address)) {
            Some(Ordering::Less | Ordering::Equal) => Ok(self.rows.pop_front()),
            Some(Ordering::Greater) | None => Ok(None),
        }
    }

    async fn next(&mut self) -> Result<Option<(RowAddress, RowValues)>, Error> {
        self.fill().await?;
        Ok(self.rows.pop_front())
    }

    async fn fill(&mut self) -> Result<(), Error> {
        while self.rows.is_empty() && self.more {
            let rows = self.views.rows(&self.built.schema.name);
            let page = rows.scan(self.built, self.after.as_ref(), COMPARED_ROWS).await?;
            self.more = page.more;
            if let Some((last, _)) = page.rows.last() {
                self.after = Some(last.clone());
            }
            let there = |(address, row): (RowAddress, LoadedRow)| Some((address, row.values?));
            self.rows.extend(page.rows.into_iter().filter_map(there));
        }
        Ok(())
    }
}

/// A value as JSON, as much of it as is kept.
fn text_of(value: &Value) -> String {
    shortened(&serde_json::to_string(value).unwrap_or_default())
}

fn row_text(values: &RowValues) -> String {
    shortened(&serde_json::to_string(values).unwrap_or_default())
}

fn shortened(text: &str) -> String {
    if text.len() <= DIFFERENCE_TEXT_BYTES_MAX {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(DIFFERENCE_TEXT_BYTES_MAX)])
}
