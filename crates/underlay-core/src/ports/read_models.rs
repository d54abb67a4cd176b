use async_trait::async_trait;

use crate::domain::{Query, RowPage, RowValues, ViewSchema};
use crate::ports::{ParkedEvent, RowAddress, SkipOrder, SkippedEvent, StoredOrder, ViewBatch, ViewStop};
use crate::words::limits::PAGE_ROWS_MAX;
use crate::words::{Checkpoint, Error, Fingerprint, Json, Position, TenantId, Timestamp};

/// One table of rows: a view in one of its generations. A rebuild fills the next generation beside
/// the one that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewTable {
    /// The shape of its rows.
    pub schema: ViewSchema,
    /// The generation, from 1.
    pub generation: u32,
}

/// A generation of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its number, from 1.
    pub number: u32,
    /// The definition its rows were built by.
    pub fingerprint: Fingerprint,
    /// How far it has come.
    pub checkpoint: Checkpoint,
    /// How many events it has passed over.
    pub parked: u64,
    /// How many of these a person has skipped.
    pub skipped: u64,
}

/// A row as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedRow {
    /// Its values; none where there is no such row.
    pub values: Option<RowValues>,
    /// The row reflects every event at or below it, whatever the checkpoint says.
    /// [`Position::START`] where the row says no more than the checkpoint does.
    pub reflects: Position,
}

/// A row of a store that changes rows and checkpoint together.
impl From<Option<RowValues>> for LoadedRow {
    fn from(values: Option<RowValues>) -> Self {
        Self { values, reflects: Position::START }
    }
}

/// A page of all rows of a generation, of every tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannedRows {
    /// The rows, in the order of tenants and keys. Where a store says what its rows reflect, one that was removed
    /// beyond the checkpoint is among them, without values.
    pub rows: Vec<(RowAddress, LoadedRow)>,
    /// Whether more rows follow. A page may be shorter than was asked for, and never without a row where more
    /// follow.
    pub more: bool,
    /// The checkpoint that the rows lead to.
    pub checkpoint: Checkpoint,
}

/// What the catalogue holds of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewInfo {
    /// Its name.
    pub name: String,
    /// The generation that is read.
    pub active: Generation,
    /// The generation that is built beside it.
    pub building: Option<Generation>,
    /// The generation that was read before, and since when it is not: it can come back.
    pub replaced: Option<(Generation, Timestamp)>,
    /// How many generations are gone and have left rows to be removed.
    pub discarded: u64,
    /// Why the generation that is read does not go on; none where it does, or where nobody knows.
    pub stop: Option<ViewStop>,
    /// What was last ordered of it.
    pub order: Option<StoredOrder>,
}

/// How a generation is swapped in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swap {
    /// The last changes to it, stored in the same step.
    pub last: Option<ViewBatch>,
    /// How far the generation that is read may have come: past it nothing is swapped, or who has seen a
    /// row would see it gone. None swaps wherever it is.
    pub unless_beyond: Option<Position>,
    /// The number that the order of the view must have: under another one nothing is swapped, since it was
    /// cancelled, or another process carries it out. None swaps whatever is ordered.
    pub order: Option<u64>,
    /// The time of the swap, for people.
    pub at: Timestamp,
}

/// What a sweep came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swept {
    /// Nothing is left.
    All,
    /// A piece was removed, and there may be more.
    Piece,
    /// Something is left that others still look at, a dump say: try again later.
    Held,
}

/// That a view has no such generation, or one that answers nothing any more.
#[must_use]
pub fn no_generation(view: &str, generation: u32) -> Error {
    Error::NotFound(format!("generation {generation} of view {view}"))
}

/// That no generation is kept that could come back.
#[must_use]
pub fn none_replaced(schema: &ViewSchema) -> Error {
    Error::NotFound(format!(
        "a generation of view {} that was read before the one that is read now",
        schema.name
    ))
}

/// That a generation cannot be given up.
#[must_use]
pub fn still_read(view: &str, generation: u32) -> Error {
    Error::invalid(format!(
        "generation {generation} of view {view} is the one that is read; only one that is being built, or \
         that was replaced, can be discarded"
    ))
}

/// Checks how many rows a scan asks for. Adapters call it first.
///
/// # Errors
/// [`Error::Invalid`] that names the limit.
pub fn check_scan_limit(limit: usize) -> Result<(), Error> {
    if limit == 0 || limit > PAGE_ROWS_MAX {
        return Err(Error::invalid(format!(
            "a scan reads 1 to PAGE_ROWS_MAX = {PAGE_ROWS_MAX} rows, this one asks for {limit}"
        )));
    }
    Ok(())
}

/// The tables of views, with their checkpoints and their catalogue.
///
/// There are two forms of it. A store with transactions changes rows and checkpoint together, and answers
/// [`LoadedRow::reflects`] with [`Position::START`]. A store without them stores the parts of a batch one after
/// the other: what was passed over, then the rows, each with the batch's end and none over a row that
/// reflects more, then the checkpoint. Where it stops in between, the batch comes again, perhaps with other
/// ends, events that a row reflects are not folded into it twice, and what is kept as passed over beyond the
/// checkpoint is folded into no row. A removed row leaves its position behind.
///
/// The contract, each sentence with the conformance case that attacks it:
///
/// 1. *Rows written are read back, by key and in bulk, with every column type at its extremes.* `rows_are_read_back`
/// 2. *Upsert replaces, patch changes the columns named, delete removes.* `upsert_patch_and_delete`
/// 3. *Rows and checkpoint change together, or neither does; where a store cannot, its rows say what they reflect.* `rows_and_checkpoint_change_together`
/// 4. *The checkpoint moves only from the expected place; otherwise `CheckpointMoved`.* `the_checkpoint_moves_only_from_the_expected_place`
/// 5. *Of two batches from one place, one is stored.* `one_of_two_batches_is_stored`
/// 6. *A query yields the rows that meet every filter and the condition, in the order asked for.* `filters_and_sorts_hold`
/// 7. *Pages follow each other by cursor without gap or repeat, while rows are written.* `pages_follow_each_other`
/// 8. *A tenant sees its own rows alone; one key in two tenants is two rows.* `rows_belong_to_their_tenant`
/// 9. *Hostile text in keys and values is data.* `hostile_text_is_data`
/// 10. *A view of another definition is `ViewChanged`.* `a_changed_view_is_refused`
/// 11. *A generation is built beside the one that is read, and activated in one step.* `a_generation_is_built_beside`
/// 12. *What does not fit the schema or exceeds a limit is `Invalid`, names the column, and stores nothing.* `misfits_are_invalid`
/// 13. *After reopening, rows and checkpoint are there.* `reopening_keeps_rows`
/// 14. *A generation is swapped in together with its last changes, and only where the one that is read has not come further than allowed.* `a_swap_takes_nothing_back`
/// 15. *A generation that was replaced answers nothing, and comes back with its rows and its checkpoint.* `a_replaced_generation_comes_back`
/// 16. *What a discarded generation has left is removed piece by piece, beside readers and writers; its number is never given again.* `discarded_generations_are_swept`
/// 17. *Events that were passed over are kept with the rows of their generation, in the order of the log.* `parked_events_are_kept`
/// 18. *A query that finds its answer within `QUERY_ROWS_SCANNED_MAX` rows of an index that its filters or its order name is answered; any other is `TooBroad`, and names the limit.* `a_query_looks_at_a_bounded_number_of_rows`
/// 19. *Why a view stopped is stored with a batch, and counts until the next one.* `a_stop_counts_until_the_next_batch`
/// 20. *An event is skipped only where the view, or what is built of it, is stopped at it, and by one of all who try.* `one_skips_the_event_a_view_is_stopped_at`
/// 21. *Who skipped what, when and why is kept, whatever generation is read, and nothing stops at it again.* `what_was_skipped_is_kept`
/// 22. *A row that says what it reflects says no more than it does, and never goes back to less.* `rows_say_what_they_reflect`
/// 23. *A scan yields every row of a generation, of every tenant, once and in the order of tenants and keys, each page with the checkpoint its rows lead to.* `a_scan_yields_every_row`
/// 24. *A table that nobody altered is as it was made.* `an_untouched_table_is_as_it_was_made`
/// 25. *What was ordered of a view is listed with it, and replaced by one of all who know its number.* `an_order_is_replaced_by_who_knows_it`
/// 26. *A swap that names the number of an order takes place only while the order has that number.* `a_swap_is_bound_to_its_order`
/// 27. *A page ends with the row that reaches `PAGE_TEXT_BYTES_MAX`, and says that more follow.* `pages_are_bounded_in_bytes`
#[async_trait]
pub trait ReadModels: Send + Sync + 'static {
    /// Makes the table of a view where it is missing, starting at `start`, and returns the generation
    /// that is read. Repeating it changes nothing.
    ///
    /// # Errors
    /// [`Error::ViewChanged`] where the rows there were built by another definition;
    /// [`Error::Invalid`] where the schema is not well formed.
    async fn prepare(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error>;

    /// Makes an empty table for the next generation, discarding one that was begun and not activated.
    /// Its number is above that of every generation there was, so that the one discarded stays gone.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the view was never prepared.
    async fn begin_generation(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error>;

    /// Makes a generation the one that is read, in one step with its last changes. The one that was read
    /// is replaced: it answers nothing any more and is kept, in place of the one that was kept until then.
    /// False where the generation that is read has come too far; then nothing has changed.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the generation was not begun; [`Error::CheckpointMoved`] where the order has another
    /// number than [`Swap::order`]; as [`ReadModels::apply`] for the changes.
    async fn activate(&self, table: &ViewTable, swap: Swap) -> Result<bool, Error>;

    /// Makes the generation that was replaced the one that is read again, at its place in the log, and
    /// keeps the one that was read in its stead.
    ///
    /// # Errors
    /// [`Error::NotFound`] where none is kept, [`Error::ViewChanged`] where it was built by another
    /// definition than this.
    async fn revert(&self, schema: &ViewSchema, at: Timestamp) -> Result<ViewTable, Error>;

    /// Gives up a generation that is not read: one being built, or one that was replaced.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none of that number, [`Error::Invalid`] where it is the one
    /// that is read.
    async fn discard(&self, view: &str, generation: u32) -> Result<(), Error>;

    /// Removes a piece of what discarded generations have left. It holds up nobody for longer than a batch
    /// does, and waits for nobody for longer.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Backend`].
    async fn sweep(&self) -> Result<Swept, Error>;

    /// Up to `limit` of the events that a generation has passed over, above `after`.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such table; [`Error::Invalid`] where `limit` is 0 or above
    /// [`PAGE_EVENTS_MAX`](crate::words::limits::PAGE_EVENTS_MAX).
    async fn parked(
        &self,
        table: &ViewTable,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, Error>;

    /// Orders the view to pass over the event that it is stopped at, or that what is built of it is stopped at: that
    /// does not count as stopped any more.
    ///
    /// # Errors
    /// [`Error::Invalid`] as [`SkipOrder::of`] says, where it is not stopped at that event; nothing was stored.
    /// [`Error::NotFound`] where there is no such view.
    async fn skip(&self, view: &str, skip: SkipOrder) -> Result<SkippedEvent, Error>;

    /// Every event of a view that was skipped, in the order of the log: at most
    /// [`SKIPPED_EVENTS_MAX`](crate::limits::SKIPPED_EVENTS_MAX). None of a view that is not there.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Backend`].
    async fn skipped(&self, view: &str) -> Result<Vec<SkippedEvent>, Error>;

    /// What the catalogue holds, by name.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Backend`].
    async fn views(&self) -> Result<Vec<ViewInfo>, Error>;

    /// How far a table has come.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such table.
    async fn checkpoint(&self, table: &ViewTable) -> Result<Checkpoint, Error>;

    /// Loads rows of any tenants by address, in the order asked: for the engine, never for a request.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such table.
    async fn load(&self, table: &ViewTable, rows: &[RowAddress]) -> Result<Vec<LoadedRow>, Error>;

    /// Reads up to `limit` rows of all tenants, from the first one or above an address: for the engine, never for a
    /// request. A page ends early with the row that reaches
    /// [`SCAN_BYTES_MAX`](crate::words::limits::SCAN_BYTES_MAX).
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such table; [`Error::Invalid`] where `limit` is 0 or above
    /// [`PAGE_ROWS_MAX`]; [`Error::Damaged`] where a row does not fit the columns.
    async fn scan(
        &self,
        table: &ViewTable,
        after: Option<&RowAddress>,
        limit: usize,
    ) -> Result<ScannedRows, Error>;

    /// How the table of a generation differs from the one that was made for it, each a phrase such as
    /// `column "note" is missing`: by the hands of people, past this port. At most
    /// [`ALTERATIONS_MAX`](crate::words::limits::ALTERATIONS_MAX).
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such generation.
    async fn alterations(&self, table: &ViewTable) -> Result<Vec<String>, Error>;

    /// Stores what is ordered of a view, or what has become of that, in place of the order with the number `known`: 0
    /// where there was none. Returns the number it has from then on. The store does not read the body.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such view; [`Error::CheckpointMoved`] where the order has another number;
    /// [`Error::Invalid`] where the body exceeds
    /// [`VIEW_ORDER_BYTES_MAX`](crate::words::limits::VIEW_ORDER_BYTES_MAX).
    async fn put_order(&self, view: &str, known: u64, body: &Json) -> Result<u64, Error>;

    /// Stores changes and checkpoint in one transaction.
    ///
    /// # Errors
    /// [`Error::CheckpointMoved`] where the view is not at `batch.from`, or stops at an event that was
    /// skipped; [`Error::LeaseLost`] where
    /// `batch.lease` does not hold; [`Error::Invalid`] where a row does not fit. Nothing was stored.
    async fn apply(&self, table: &ViewTable, batch: ViewBatch) -> Result<(), Error>;

    /// Reads one row of a tenant: what a request asks for, with its turns and its deadline.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such table.
    async fn get(&self, table: &ViewTable, tenant: &TenantId, key: &str) -> Result<Option<RowValues>, Error>;

    /// Reads a page of a tenant's rows: what a request asks for. Such reads have a deadline, take turns by
    /// tenant where a store has fewer places than there are reads, and never take those of the engine.
    ///
    /// It is found along one of the indexes that the query's filters and its order name, as
    /// [`Query::page_walks`] says; a page whose filters are all on the column it is sorted by is never
    /// [`Error::TooBroad`].
    ///
    /// # Errors
    /// [`Error::Invalid`] where the query does not fit the view; [`Error::TooBroad`] where it looks at too
    /// many rows, or for too long.
    async fn query(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<RowPage, Error>;

    /// Counts a tenant's rows that meet the filters; sort, cursor and limit do not matter. It is a query
    /// as [`ReadModels::query`] is, along one of [`Query::count_walks`].
    ///
    /// # Errors
    /// [`Error::Invalid`] where a filter does not fit the view; [`Error::TooBroad`] where it looks at too
    /// many rows, or for too long.
    async fn count(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<u64, Error>;
}
