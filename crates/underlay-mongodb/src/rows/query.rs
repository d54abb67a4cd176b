use std::pin::Pin;

use futures_util::{Stream, TryStreamExt as _};
use mongodb::bson::Document;
use mongodb::options::Hint;
use mongodb::{ClientSession, Collection};
use underlay_core::adapter::Walk;
use underlay_core::limits::QUERY_ROWS_SCANNED_MAX;
use underlay_core::{Error, PageEnd, Query, RowSchema, TenantId};

use super::document::stored_text_bytes;
use super::pipeline::{self, Pipeline};
use crate::error::{Failure, Meaning};
use crate::store::Open;
use crate::transaction::pause;

/// How often a read is begun again that met a change of its collection.
const TRIES_MAX: u32 = 5;

/// Reads of one collection, all of one moment where they go by a session.
pub(crate) struct Reading<'a> {
    open: &'a Open,
    rows: Collection<Document>,
    session: Option<ClientSession>,
    /// Whether a page looks at no row beside those it gives.
    is_exact: bool,
}

/// A session all of whose reads see the same moment.
pub(crate) async fn snapshot(open: &Open) -> Result<ClientSession, Failure> {
    open.read(open.client.start_session().snapshot(true)).await
}

/// Reads, and again where the collection was being changed.
pub(crate) async fn retried<'a, T>(
    open: &Open,
    mut read: impl FnMut() -> Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>,
) -> Result<T, Failure> {
    let mut tries = 1;
    loop {
        match read().await {
            Err(failure) if failure.is_transient() && tries < TRIES_MAX => {
                pause(open, tries).await;
                tries += 1;
            }
            found => return found,
        }
    }
}

impl<'a> Reading<'a> {
    pub(crate) fn new(open: &'a Open, rows: Collection<Document>) -> Self {
        Self { open, rows, session: None, is_exact: false }
    }

    /// Reads for a query, by a session.
    pub(crate) fn with(mut self, session: ClientSession, query: &Query) -> Self {
        self.session = Some(session);
        self.rows = self.open.as_of_snapshot(&self.rows);
        self.is_exact = is_exact(query);
        self
    }

    /// What a pipeline comes to, up to the document that is the last one needed. The server ends one that runs for too
    /// long.
    async fn run(
        &mut self,
        pipeline: &Pipeline,
        batch: usize,
        is_last: impl FnMut(&Document) -> bool,
    ) -> Result<Vec<Document>, Failure> {
        let limit = self.open.config.query_timeout;
        let aggregate = self
            .rows
            .aggregate(pipeline.stages.clone())
            .hint(Hint::Name(pipeline.index.clone()))
            .batch_size(whole_batch(batch))
            .max_time(limit);
        let answer = async {
            match &mut self.session {
                None => up_to_last(aggregate.await?, is_last).await,
                Some(session) => {
                    let mut found = aggregate.session(&mut *session).await?;
                    up_to_last(found.stream(session), is_last).await
                }
            }
        };
        // The server ends what runs too long. One that says nothing for longer than that is away.
        let found = match tokio::time::timeout(limit * 2, answer).await {
            Ok(found) => found.map_err(Failure::from),
            Err(_) => return Err(Failure::Late { name: "query_timeout", limit }),
        };
        match found {
            Err(failure) if failure.meaning() == Some(Meaning::Slow) => {
                Err(Failure::Answer(Error::query_too_slow(limit, self.is_exact)))
            }
            found => found,
        }
    }

    /// Whether a walk looks at more rows than it may.
    async fn is_too_broad(
        &mut self,
        tenant: &TenantId,
        query: &Query,
        walk: &Walk<'_>,
    ) -> Result<bool, Failure> {
        let looked = self.run(&pipeline::looked(tenant, query, walk), 1, no_last).await?;
        Ok(pipeline::counted(&looked) > QUERY_ROWS_SCANNED_MAX as u64)
    }

    /// The rows of a page along a walk; none where it looks at more than it may.
    async fn page_along(
        &mut self,
        schema: &RowSchema,
        tenant: &TenantId,
        query: &Query,
        walk: &Walk<'_>,
    ) -> Result<Option<Vec<Document>>, Failure> {
        if !walk.ordered && self.is_too_broad(tenant, query, walk).await? {
            return Ok(None);
        }
        let (mut end, mut is_full) = (PageEnd::of(query), false);
        let is_last = |row: &Document| {
            is_full = end.is_past_with(stored_text_bytes(schema, row));
            is_full
        };
        let found = self.run(&pipeline::page(tenant, query, walk), query.limit + 1, is_last).await?;
        // A page that is not full has come to the end of the walk, or to its limit.
        let may_be_cut = walk.ordered && walk.has_tests() && !is_full;
        if may_be_cut && self.is_too_broad(tenant, query, walk).await? {
            return Ok(None);
        }
        Ok(Some(found))
    }

    /// The documents of a page, and one more where another page follows.
    pub(crate) async fn page(
        mut self,
        schema: &RowSchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<Vec<Document>, Failure> {
        for walk in query.page_walks() {
            if let Some(found) = self.page_along(schema, tenant, query, &walk).await? {
                return Ok(found);
            }
        }
        Err(Failure::Answer(Error::page_too_broad()))
    }

    /// How many rows meet a query.
    pub(crate) async fn count(mut self, tenant: &TenantId, query: &Query) -> Result<u64, Failure> {
        self.is_exact = false;
        for walk in query.count_walks() {
            let looked =
                pipeline::counted(&self.run(&pipeline::looked(tenant, query, &walk), 1, no_last).await?);
            if looked > QUERY_ROWS_SCANNED_MAX as u64 {
                continue;
            }
            if !walk.has_tests() {
                return Ok(looked);
            }
            let passing = self.run(&pipeline::passing(tenant, query, &walk), 1, no_last).await?;
            return Ok(pipeline::counted(&passing));
        }
        Err(Failure::Answer(Error::count_too_broad()))
    }
}

/// The size of a batch that so many documents come in. It has room for one more: where a batch is full, the server
/// keeps a cursor and is asked once more.
pub(crate) fn whole_batch(documents: usize) -> u32 {
    u32::try_from(documents).unwrap_or(u32::MAX).saturating_add(1)
}

/// The documents of an answer up to the one that is the last needed.
async fn up_to_last(
    mut found: impl Stream<Item = mongodb::error::Result<Document>> + Unpin,
    mut is_last: impl FnMut(&Document) -> bool,
) -> mongodb::error::Result<Vec<Document>> {
    let mut taken = Vec::new();
    while let Some(document) = found.try_next().await? {
        let ends = is_last(&document);
        taken.push(document);
        if ends {
            break;
        }
    }
    Ok(taken)
}

/// Of what is needed to its end.
fn no_last(_: &Document) -> bool {
    false
}

/// Whether a page looks at no row beside those it gives.
fn is_exact(query: &Query) -> bool {
    query.page_walks().first().is_some_and(Walk::is_exact)
}

/// The documents of a page, and one more where another page follows.
pub(crate) async fn page_of_rows(
    open: &Open,
    rows: &Collection<Document>,
    schema: &RowSchema,
    tenant: &TenantId,
    query: &Query,
) -> Result<Vec<Document>, Failure> {
    let read = || async {
        let reading = Reading::new(open, rows.clone());
        if is_exact(query) {
            // One read is of one moment.
            return Reading { is_exact: true, ..reading }.page(schema, tenant, query).await;
        }
        reading.with(snapshot(open).await?, query).page(schema, tenant, query).await
    };
    retried(open, || Box::pin(read())).await
}

/// How many rows meet a query.
pub(crate) async fn count_rows(
    open: &Open,
    rows: &Collection<Document>,
    tenant: &TenantId,
    query: &Query,
) -> Result<u64, Failure> {
    let read = || async {
        let session = snapshot(open).await?;
        Reading::new(open, rows.clone()).with(session, query).count(tenant, query).await
    };
    retried(open, || Box::pin(read())).await
}
