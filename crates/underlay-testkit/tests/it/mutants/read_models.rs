use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use underlay_core::memory::MemoryReadModels;
use underlay_core::{
    Checkpoint, Comparison, Condition, Cursor, Direction, Error, Json, LoadedRow, ParkedEvent, Position,
    Query, ReadModels, RowAddress, RowChange, RowPage, RowValues, ScannedRows, SkipOrder, SkippedEvent, Swap,
    Swept, TenantId, Timestamp, Value, ViewBatch, ViewInfo, ViewSchema, ViewStop, ViewTable,
};
use underlay_testkit::{Fixture, ReadModelsFixture, Skip};

use super::caught;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    /// Decimals are kept as floats.
    KeepsDecimalsAsFloats,
    /// Rows say that they reflect more than the checkpoint.
    ReflectsWhatIsToCome,
    /// Rows are loaded in the order of their keys.
    LoadsByKey,
    /// Deletes are taken and not done.
    IgnoresDeletes,
    /// A patch of a row that is not there is passed over.
    PassesOverMissingRows,
    /// The checkpoint moves although the rows could not be written.
    MovesTheCheckpointAlone,
    /// A page tells the position of an earlier moment than its rows.
    ReadsThePositionFirst,
    /// A batch is stored wherever the checkpoint is.
    IgnoresTheExpectedPlace,
    /// Of a place, only the position is compared.
    ComparesPositionsAlone,
    /// The place is compared first and the batch stored later.
    ComparesThenStores,
    /// The last of several filters is left out.
    ForgetsTheLastFilter,
    /// The condition is left out.
    ForgetsTheCondition,
    /// A prefix is matched without regard to case, as LIKE does.
    FoldsCaseOfPrefixes,
    /// Rows of equal value are ordered by key, smallest first, in both directions.
    OrdersTiesOneWay,
    /// A page begins after the number of rows read, not after the cursor.
    CountsRowsToTheCursor,
    /// A page leaves out what has the value of the cursor.
    LosesTies,
    /// Rows are kept by their key alone.
    SharesRows,
    /// Text loses the blanks around it.
    TrimsKeys,
    /// A quote in a filter is doubled.
    DoublesQuotes,
    /// Rows of another definition are read.
    TakesChangedViews,
    /// A generation is built where the one that is read is.
    BuildsInPlace,
    /// What does not fit is passed over.
    PassesOverMisfits,
    /// Errors say that something does not fit, not what.
    NamesNoColumn,
    /// Reopened, there are no rows.
    LosesRows,
    /// A swap does not look how far the generation that is read has come.
    SwapsWherever,
    /// The last changes of a generation do not come with its swap.
    ForgetsTheLastChanges,
    /// A generation that was replaced is gone.
    DropsTheReplaced,
    /// The generation that is read is given up like any other, and stays.
    KeepsTheDiscarded,
    /// Events that were passed over are forgotten.
    ForgetsWhatIsParked,
    /// Why a view stopped is not kept.
    ForgetsStops,
    /// A view that goes on is still stopped.
    KeepsStops,
    /// What is skipped need not be what the view is stopped at.
    SkipsAnything,
    /// The second one who skips an event is told that it was them.
    LetsBothSkip,
    /// What was skipped is of the generation that was read then.
    ForgetsWhatIsSkipped,
    /// A view stops at an event that was skipped.
    StopsAgain,
    /// A count looks at all there is.
    CountsWithoutEnd,
    /// A page looks at all there is.
    LooksWithoutEnd,
    /// Who has many rows is refused, however few are asked for.
    RefusesLargeTenants,
    /// Only the most promising way to the rows is tried.
    TriesOneWay,
    /// A page has as many rows as were asked for, however large they are.
    FillsPages,
    /// A scan ends with the rows of one tenant.
    ScansOneTenant,
    /// A page of a scan begins with the row that the one before has ended with.
    RepeatsTheLastOfAPage,
    /// A scan tells the place of an earlier moment than its rows.
    ScansAfterThePlace,
    /// A table is altered by what is stored in it.
    SeesAlterations,
    /// An order is stored whatever is there.
    TakesAnyOrder,
    /// A swap does not look at what is ordered.
    SwapsWithoutOrder,
    /// An order is gone with the generation that was read when it was given.
    ForgetsOrders,
}

struct Models {
    inner: MemoryReadModels,
    mutation: Mutation,
    /// The last stop that was stored.
    stopped: Mutex<Option<ViewStop>>,
}

struct Mutant(Arc<Models>);

impl Mutant {
    fn with(mutation: Mutation) -> Self {
        Self(Arc::new(Models { inner: MemoryReadModels::default(), mutation, stopped: Mutex::default() }))
    }
}

impl Fixture for Mutant {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::with(Mutation::None))
    }

    async fn reopen(self) -> Self {
        if self.0.mutation == Mutation::LosesRows { Self::with(Mutation::None) } else { self }
    }
}

impl ReadModelsFixture for Mutant {
    fn read_models(&self) -> Arc<dyn ReadModels> {
        self.0.clone()
    }
}

impl Models {
    fn stopped(&self) -> Option<ViewStop> {
        self.stopped.lock().unwrap().clone()
    }

    async fn only_view(&self) -> Result<ViewInfo, Error> {
        Ok(self.inner.views().await?.remove(0))
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == mutation
    }

    fn tenant(&self, tenant: &TenantId) -> TenantId {
        if self.is(Mutation::SharesRows) { TenantId::new("everyone").unwrap() } else { tenant.clone() }
    }

    fn address(&self, address: &RowAddress) -> RowAddress {
        let RowAddress { tenant, key } = address;
        let key = if self.is(Mutation::TrimsKeys) { key.trim() } else { key };
        RowAddress { tenant: self.tenant(tenant), key: key.to_owned() }
    }

    fn change(&self, change: RowChange) -> RowChange {
        match change {
            RowChange::Upsert(address, mut values) => {
                if self.is(Mutation::KeepsDecimalsAsFloats) {
                    for value in &mut values {
                        if let Value::Decimal(number) = value {
                            let float: f64 = number.to_string().parse().unwrap();
                            *number = underlay_core::Decimal::from_str_exact(&float.to_string())
                                .unwrap_or_default();
                        }
                    }
                }
                RowChange::Upsert(self.address(&address), values)
            }
            RowChange::Patch(address, patch) => RowChange::Patch(self.address(&address), patch),
            RowChange::Delete(address) => RowChange::Delete(self.address(&address)),
        }
    }

    fn broken(&self, query: &Query) -> Query {
        let mut query = query.clone();
        if self.is(Mutation::ForgetsTheLastFilter) && query.filters.len() > 1 {
            query.filters.pop();
        }
        if self.is(Mutation::ForgetsTheCondition) {
            query.condition = Condition::default();
        }
        if self.is(Mutation::DoublesQuotes) {
            for filter in &mut query.filters {
                if let Value::Text(text) = &mut filter.value {
                    *text = text.replace('\'', "''");
                }
            }
        }
        query
    }

    /// What a store refuses that takes a query for broader than it is.
    async fn check_breadth(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<(), Error> {
        let counted = match self.mutation {
            Mutation::RefusesLargeTenants => Query::default(),
            Mutation::TriesOneWay if query.filters.len() > 1 => {
                Query { filters: query.filters[..1].to_vec(), ..Query::default() }
            }
            _ => return Ok(()),
        };
        self.inner.count(table, tenant, &counted).await.map(drop)
    }

    /// The page of a store that finds its way by something else than the cursor.
    async fn page_without_cursor(
        &self,
        table: &ViewTable,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<RowPage, Error> {
        let whole = Query { after: None, limit: 1_000, ..query.clone() };
        let mut page = self.inner.query(table, tenant, &whole).await?;
        if let Some(cursor) = &query.after {
            let last = self.inner.query(table, tenant, &Query { limit: 1_000, ..query.clone() }).await?.rows;
            let sort_at = query
                .sort
                .column
                .as_ref()
                .and_then(|name| table.schema.columns.iter().position(|column| column.name == *name));
            page.rows = match (self.mutation, sort_at) {
                (Mutation::CountsRowsToTheCursor, _) => {
                    // The cursor's own row is gone: every row behind it has moved up by one.
                    let gone = self.inner.get(table, tenant, &cursor.key).await?.is_none();
                    last.into_iter().skip(usize::from(gone)).collect()
                }
                (Mutation::LosesTies, Some(at)) => {
                    last.into_iter().filter(|(_, row)| Some(&row[at]) != cursor.value.as_ref()).collect()
                }
                _ => last,
            };
        }
        let more = page.rows.len() > query.limit;
        page.rows.truncate(query.limit);
        let sort_at = query
            .sort
            .column
            .as_ref()
            .and_then(|name| table.schema.columns.iter().position(|column| column.name == *name));
        page.next = page
            .rows
            .last()
            .filter(|_| more)
            .map(|(key, row)| Cursor { value: sort_at.map(|at| row[at].clone()), key: key.clone() });
        Ok(page)
    }
}

#[async_trait]
impl ReadModels for Models {
    async fn prepare(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        match self.inner.prepare(schema, start).await {
            Err(Error::ViewChanged { .. }) if self.is(Mutation::TakesChangedViews) => {
                Ok(ViewTable { schema: schema.clone(), generation: 1 })
            }
            Err(Error::Invalid(_)) if self.is(Mutation::NamesNoColumn) => {
                Err(Error::invalid("it does not fit"))
            }
            other => other,
        }
    }

    async fn begin_generation(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        let begun = self.inner.begin_generation(schema, start).await?;
        if self.is(Mutation::BuildsInPlace) {
            return Ok(ViewTable { generation: begun.generation - 1, ..begun });
        }
        Ok(begun)
    }

    async fn activate(&self, table: &ViewTable, mut swap: Swap) -> Result<bool, Error> {
        match self.mutation {
            Mutation::SwapsWherever => swap.unless_beyond = None,
            Mutation::SwapsWithoutOrder => swap.order = None,
            Mutation::ForgetsTheLastChanges => swap.last = None,
            Mutation::DropsTheReplaced => {
                let before = self.only_view().await?.active.number;
                let swapped = self.inner.activate(table, swap).await?;
                if swapped {
                    self.inner.discard(&table.schema.name, before).await?;
                }
                return Ok(swapped);
            }
            _ => {}
        }
        self.inner.activate(table, swap).await
    }

    async fn revert(&self, schema: &ViewSchema, at: Timestamp) -> Result<ViewTable, Error> {
        self.inner.revert(schema, at).await
    }

    async fn discard(&self, view: &str, generation: u32) -> Result<(), Error> {
        if self.is(Mutation::KeepsTheDiscarded) {
            return match self.inner.discard(view, generation).await {
                Ok(()) => Ok(()),
                Err(Error::Invalid(_)) => Ok(()),
                refused => refused,
            };
        }
        self.inner.discard(view, generation).await
    }

    async fn sweep(&self) -> Result<Swept, Error> {
        self.inner.sweep().await
    }

    async fn parked(
        &self,
        table: &ViewTable,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, Error> {
        self.inner.parked(table, after, limit).await
    }

    async fn skip(&self, view: &str, skip: SkipOrder) -> Result<SkippedEvent, Error> {
        let before = self.inner.skipped(view).await?;
        match self.inner.skip(view, skip.clone()).await {
            Err(Error::Invalid(_)) if self.is(Mutation::SkipsAnything) && self.stopped().is_some() => {
                // Whatever it is stopped at is what is meant.
                let stop = self.stopped().unwrap();
                let Some(event) = stop.event().cloned() else { return Err(Error::invalid("no event")) };
                self.inner.skip(view, SkipOrder { position: event.position, ..skip }).await
            }
            Err(Error::Invalid(refused)) if self.is(Mutation::LetsBothSkip) => {
                let known = before.into_iter().find(|known| known.event.position == skip.position);
                known.ok_or_else(|| Error::invalid(refused))
            }
            skipped => skipped,
        }
    }

    async fn skipped(&self, view: &str) -> Result<Vec<SkippedEvent>, Error> {
        let swapped = self.only_view().await?.active.number > 1;
        if self.is(Mutation::ForgetsWhatIsSkipped) && swapped {
            return Ok(Vec::new());
        }
        self.inner.skipped(view).await
    }

    async fn views(&self) -> Result<Vec<ViewInfo>, Error> {
        let mut views = self.inner.views().await?;
        if self.is(Mutation::ForgetsOrders) {
            views.iter_mut().filter(|view| view.active.number > 1).for_each(|view| view.order = None);
        }
        if self.is(Mutation::KeepsStops) {
            views.iter_mut().for_each(|view| view.stop = self.stopped());
        }
        Ok(views)
    }

    async fn checkpoint(&self, table: &ViewTable) -> Result<Checkpoint, Error> {
        self.inner.checkpoint(table).await
    }

    async fn load(&self, table: &ViewTable, rows: &[RowAddress]) -> Result<Vec<LoadedRow>, Error> {
        let mut rows: Vec<RowAddress> = rows.iter().map(|address| self.address(address)).collect();
        if self.is(Mutation::LoadsByKey) {
            rows.sort();
        }
        let mut loaded = self.inner.load(table, &rows).await?;
        if self.is(Mutation::ReflectsWhatIsToCome) {
            let next = self.inner.checkpoint(table).await?.position.number() + 1;
            loaded.iter_mut().for_each(|row| row.reflects = Position::from_number(next));
        }
        Ok(loaded)
    }

    async fn scan(
        &self,
        table: &ViewTable,
        after: Option<&RowAddress>,
        limit: usize,
    ) -> Result<ScannedRows, Error> {
        let before = self.inner.checkpoint(table).await?;
        if self.is(Mutation::ScansAfterThePlace) {
            tokio::task::yield_now().await;
        }
        let mut scanned = self.inner.scan(table, after, limit).await?;
        match (self.mutation, after) {
            (Mutation::ScansAfterThePlace, _) => scanned.checkpoint = before,
            (Mutation::ScansOneTenant, Some(after)) => {
                let rows = scanned.rows.len();
                scanned.rows.retain(|(address, _)| address.tenant == after.tenant);
                scanned.more &= scanned.rows.len() == rows;
            }
            (Mutation::RepeatsTheLastOfAPage, Some(after)) => {
                let again = self.inner.load(table, std::slice::from_ref(after)).await?.remove(0);
                scanned.rows.insert(0, (after.clone(), again));
            }
            _ => {}
        }
        Ok(scanned)
    }

    async fn alterations(&self, table: &ViewTable) -> Result<Vec<String>, Error> {
        let mut found = self.inner.alterations(table).await?;
        if self.is(Mutation::SeesAlterations) && !self.inner.scan(table, None, 1).await?.rows.is_empty() {
            found.push("row \"a\" was added".to_owned());
        }
        Ok(found)
    }

    async fn put_order(&self, view: &str, known: u64, body: &Json) -> Result<u64, Error> {
        let mut known = known;
        if self.is(Mutation::TakesAnyOrder) {
            let views = self.inner.views().await?;
            let there = views.into_iter().find(|there| there.name == view).and_then(|there| there.order);
            known = there.map_or(0, |order| order.number);
        }
        self.inner.put_order(view, known, body).await
    }

    async fn apply(&self, table: &ViewTable, batch: ViewBatch) -> Result<(), Error> {
        let ViewBatch { from, to, changes, mut parked, lease, mut stop, .. } = batch;
        if self.is(Mutation::ForgetsWhatIsParked) {
            parked.clear();
        }
        if let Some(stop) = &stop {
            *self.stopped.lock().unwrap() = Some(stop.clone());
        }
        if self.is(Mutation::ForgetsStops) {
            stop = None;
        }
        let stops = stop.is_some();
        let mut changes: Vec<RowChange> = changes.into_iter().map(|change| self.change(change)).collect();
        let mut from = from;
        let here = self.inner.checkpoint(table).await?;
        match self.mutation {
            Mutation::SharesRows => {
                // Whoever writes last has the row.
                let mut last: Vec<RowChange> = Vec::new();
                for change in changes.into_iter().rev() {
                    if !last.iter().any(|later| address_of(later) == address_of(&change)) {
                        last.push(change);
                    }
                }
                changes = last;
            }
            Mutation::IgnoresDeletes => changes.retain(|change| !matches!(change, RowChange::Delete(_))),
            Mutation::PassesOverMissingRows => {
                let mut there = Vec::new();
                for change in changes {
                    let missing = match &change {
                        RowChange::Patch(address, _) => {
                            self.inner.load(table, std::slice::from_ref(address)).await?[0].values.is_none()
                        }
                        _ => false,
                    };
                    if !missing {
                        there.push(change);
                    }
                }
                changes = there;
            }
            Mutation::IgnoresTheExpectedPlace => from = here,
            Mutation::ComparesPositionsAlone if from.position == here.position => from = here,
            Mutation::ComparesThenStores if from == here => {
                tokio::task::yield_now().await;
                from = self.inner.checkpoint(table).await?;
            }
            _ => {}
        }
        match self
            .inner
            .apply(
                table,
                ViewBatch::new(from, to, changes)
                    .with_parked(parked)
                    .with_lease(lease.clone())
                    .with_stop(stop),
            )
            .await
        {
            Err(error) if self.is(Mutation::MovesTheCheckpointAlone) => {
                self.inner.apply(table, ViewBatch::new(from, to, Vec::new()).with_lease(lease)).await?;
                Err(error)
            }
            Err(Error::CheckpointMoved { .. }) if self.is(Mutation::StopsAgain) && stops && from == to => {
                Ok(())
            }
            Err(Error::Invalid(_)) if self.is(Mutation::PassesOverMisfits) => Ok(()),
            Err(Error::Invalid(_)) if self.is(Mutation::NamesNoColumn) => {
                Err(Error::invalid("it does not fit"))
            }
            other => other,
        }
    }

    async fn get(&self, table: &ViewTable, tenant: &TenantId, key: &str) -> Result<Option<RowValues>, Error> {
        let RowAddress { tenant, key } =
            self.address(&RowAddress { tenant: tenant.clone(), key: key.to_owned() });
        self.inner.get(table, &tenant, &key).await
    }

    async fn query(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<RowPage, Error> {
        let tenant = &self.tenant(tenant);
        let query = &self.broken(query);
        self.check_breadth(table, tenant, query).await?;
        match self.mutation {
            Mutation::LooksWithoutEnd => {
                let checkpoint = self.inner.checkpoint(table).await?;
                let empty = RowPage { rows: Vec::new(), next: None, position: checkpoint.position };
                return match self.inner.query(table, tenant, query).await {
                    Err(Error::TooBroad(_)) => Ok(empty),
                    page => page,
                };
            }
            Mutation::CountsRowsToTheCursor | Mutation::LosesTies => {
                return self.page_without_cursor(table, tenant, query).await;
            }
            Mutation::FillsPages => {
                let mut page = self.inner.query(table, tenant, query).await?;
                while page.rows.len() < query.limit
                    && let Some(next) = page.next.take()
                {
                    let rest =
                        Query { after: Some(next), ..query.clone() }.limit(query.limit - page.rows.len());
                    let more = self.inner.query(table, tenant, &rest).await?;
                    page.rows.extend(more.rows);
                    page.next = more.next;
                }
                return Ok(page);
            }
            Mutation::ReadsThePositionFirst => {
                let position = self.inner.checkpoint(table).await?.position;
                tokio::task::yield_now().await;
                let page = self.inner.query(table, tenant, query).await?;
                return Ok(RowPage { position, ..page });
            }
            Mutation::FoldsCaseOfPrefixes => {
                let prefix = query.filters.iter().find(|filter| filter.comparison == Comparison::Prefix);
                if let [filter] = query.filters.as_slice()
                    && prefix.is_some()
                    && let Value::Text(prefix) = &filter.value
                {
                    let all = Query { filters: Vec::new(), ..query.clone() };
                    let mut page = self.inner.query(table, tenant, &all).await?;
                    let folded = prefix.to_lowercase();
                    page.rows.retain(|(_, row)| match &row[0] {
                        Value::Text(text) => text.to_lowercase().starts_with(&folded),
                        _ => false,
                    });
                    return Ok(page);
                }
            }
            Mutation::OrdersTiesOneWay if query.sort.direction == Direction::Descending => {
                let mut page = self.inner.query(table, tenant, query).await?;
                if let Some(name) = &query.sort.column {
                    let at = table.schema.columns.iter().position(|column| column.name == *name).unwrap();
                    page.rows.sort_by(|a, b| b.1[at].cmp(&a.1[at]).then_with(|| a.0.cmp(&b.0)));
                }
                return Ok(page);
            }
            _ => {}
        }
        self.inner.query(table, tenant, query).await
    }

    async fn count(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        let (tenant, query) = (&self.tenant(tenant), &self.broken(query));
        self.check_breadth(table, tenant, query).await?;
        match self.inner.count(table, tenant, query).await {
            Err(Error::TooBroad(_)) if self.is(Mutation::CountsWithoutEnd) => Ok(u64::MAX),
            count => count,
        }
    }
}

fn address_of(change: &RowChange) -> &RowAddress {
    match change {
        RowChange::Upsert(address, _) | RowChange::Patch(address, _) | RowChange::Delete(address) => address,
    }
}

underlay_testkit::conformance!(read_models, Mutant);

caught! { read_models;
    decimals_as_floats: rows_are_read_back fails on KeepsDecimalsAsFloats;
    rows_loaded_by_key: rows_are_read_back fails on LoadsByKey;
    deletes_ignored: upsert_patch_and_delete fails on IgnoresDeletes;
    missing_rows_passed_over: upsert_patch_and_delete fails on PassesOverMissingRows;
    a_checkpoint_moved_alone: rows_and_checkpoint_change_together fails on MovesTheCheckpointAlone;
    a_position_read_first: rows_and_checkpoint_change_together fails on ReadsThePositionFirst;
    the_place_ignored: the_checkpoint_moves_only_from_the_expected_place fails on IgnoresTheExpectedPlace;
    positions_compared_alone: the_checkpoint_moves_only_from_the_expected_place fails on ComparesPositionsAlone;
    a_comparison_before_the_write: one_of_two_batches_is_stored fails on ComparesThenStores;
    the_last_filter_forgotten: filters_and_sorts_hold fails on ForgetsTheLastFilter;
    the_condition_forgotten: filters_and_sorts_hold fails on ForgetsTheCondition;
    prefixes_without_regard_to_case: filters_and_sorts_hold fails on FoldsCaseOfPrefixes;
    ties_ordered_one_way: filters_and_sorts_hold fails on OrdersTiesOneWay;
    pages_by_number_of_rows: pages_follow_each_other fails on CountsRowsToTheCursor;
    ties_lost_between_pages: pages_follow_each_other fails on LosesTies;
    rows_shared: rows_belong_to_their_tenant fails on SharesRows;
    keys_trimmed: hostile_text_is_data fails on TrimsKeys;
    quotes_doubled: hostile_text_is_data fails on DoublesQuotes;
    changed_views_taken: a_changed_view_is_refused fails on TakesChangedViews;
    a_generation_built_in_place: a_generation_is_built_beside fails on BuildsInPlace;
    misfits_passed_over: misfits_are_invalid fails on PassesOverMisfits;
    columns_without_names: misfits_are_invalid fails on NamesNoColumn;
    rows_lost: reopening_keeps_rows fails on LosesRows;
    a_swap_that_takes_back: a_swap_takes_nothing_back fails on SwapsWherever;
    last_changes_forgotten: a_swap_takes_nothing_back fails on ForgetsTheLastChanges;
    a_replaced_generation_dropped: a_replaced_generation_comes_back fails on DropsTheReplaced;
    a_read_generation_discarded: discarded_generations_are_swept fails on KeepsTheDiscarded;
    parked_events_forgotten: parked_events_are_kept fails on ForgetsWhatIsParked;
    stops_forgotten: a_stop_counts_until_the_next_batch fails on ForgetsStops;
    stops_kept: a_stop_counts_until_the_next_batch fails on KeepsStops;
    anything_skipped: one_skips_the_event_a_view_is_stopped_at fails on SkipsAnything;
    an_event_skipped_by_two: one_skips_the_event_a_view_is_stopped_at fails on LetsBothSkip;
    skipped_events_forgotten: what_was_skipped_is_kept fails on ForgetsWhatIsSkipped;
    a_second_stop_at_a_skipped_event: what_was_skipped_is_kept fails on StopsAgain;
    counts_without_end: a_query_looks_at_a_bounded_number_of_rows fails on CountsWithoutEnd;
    pages_without_end: a_query_looks_at_a_bounded_number_of_rows fails on LooksWithoutEnd;
    large_tenants_refused: a_query_looks_at_a_bounded_number_of_rows fails on RefusesLargeTenants;
    one_way_tried: a_query_looks_at_a_bounded_number_of_rows fails on TriesOneWay;
    pages_filled: pages_are_bounded_in_bytes fails on FillsPages;
    a_scan_of_one_tenant: a_scan_yields_every_row fails on ScansOneTenant;
    a_row_scanned_twice: a_scan_yields_every_row fails on RepeatsTheLastOfAPage;
    a_scan_after_its_place: a_scan_yields_every_row fails on ScansAfterThePlace;
    alterations_nobody_made: an_untouched_table_is_as_it_was_made fails on SeesAlterations;
    an_order_over_another: an_order_is_replaced_by_who_knows_it fails on TakesAnyOrder;
    a_swap_without_its_order: a_swap_is_bound_to_its_order fails on SwapsWithoutOrder;
    orders_forgotten: an_order_is_replaced_by_who_knows_it fails on ForgetsOrders;
    what_is_to_come_reflected: rows_say_what_they_reflect fails on ReflectsWhatIsToCome;
}
