use std::collections::HashMap;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use mongodb::ClientSession;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::Hint;
use underlay_core::limits::SCAN_BYTES_MAX;
use underlay_core::{
    Checkpoint, Error, Json, LoadedRow, ParkedEvent, Position, Query, ReadModels, RowAddress, RowPage,
    RowValues, ScannedRows, SkipOrder, SkippedEvent, Swap, Swept, TenantId, Timestamp, ViewBatch, ViewInfo,
    ViewSchema, ViewTable, check_order, check_page_limit, check_scan_limit, text_bytes,
};

use crate::error::Failure;
use crate::rows::{Reading, index_of, key_of, retried, row_id, snapshot, tenant_of, values};
use crate::store::{MongoStore, check_server};
use crate::transaction::{Unstored, Work, transact};
use crate::views::{
    self, Activate, Apply, Begin, GiveUp, Revert, SkipEvent, Stored, active, answering, answering_in,
    collection,
};

#[async_trait]
impl ReadModels for MongoStore {
    async fn prepare(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        schema.validate()?;
        check_server(&self.0).await?;
        let _turn = self.0.turn(None).await?;
        loop {
            if let Some(found) = active(&self.0, &schema.name).await? {
                check_definition(schema, &found)?;
                return Ok(ViewTable { schema: schema.clone(), generation: found.number });
            }
            begin(self, schema, &start, true).await?;
        }
    }

    async fn begin_generation(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        schema.validate()?;
        let _turn = self.0.turn(None).await?;
        active(&self.0, &schema.name).await?.ok_or_else(|| views::no_view(&schema.name))?;
        loop {
            if let Some(generation) = begin(self, schema, &start, false).await? {
                return Ok(ViewTable { schema: schema.clone(), generation });
            }
        }
    }

    async fn activate(&self, table: &ViewTable, swap: Swap) -> Result<bool, Error> {
        if let Some(last) = &swap.last {
            last.validate(&table.schema)?;
        }
        change(self, Activate { open: self.0.clone(), table: table.clone(), swap }).await
    }

    async fn revert(&self, schema: &ViewSchema, at: Timestamp) -> Result<ViewTable, Error> {
        let generation = change(self, Revert { open: self.0.clone(), schema: schema.clone(), at }).await?;
        Ok(ViewTable { schema: schema.clone(), generation })
    }

    async fn discard(&self, view: &str, generation: u32) -> Result<(), Error> {
        change(self, GiveUp { open: self.0.clone(), view: view.to_owned(), generation }).await
    }

    async fn sweep(&self) -> Result<Swept, Error> {
        let _turn = self.0.turn(None).await?;
        Ok(views::sweep(&self.0).await?)
    }

    async fn parked(
        &self,
        table: &ViewTable,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, Error> {
        check_page_limit(limit)?;
        let _turn = self.0.turn(None).await?;
        let filter = doc! {
            "view": &table.schema.name,
            "generation": i64::from(table.generation),
            "position": { "$gt": views::stored_number_of(after) },
        };
        let events = self.0.own("parked");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let find = async {
            let found = events.find(filter).sort(doc! { "position": 1 }).limit(limit).await?;
            found.try_collect::<Vec<Document>>().await
        };
        let found = self.0.read(Box::pin(find)).await?;
        // Asked last: what a generation that still answers has was not swept meanwhile.
        answering(&self.0, table).await?;
        Ok(found.iter().map(views::parked_event).collect::<Result<_, _>>()?)
    }

    async fn skip(&self, view: &str, skip: SkipOrder) -> Result<SkippedEvent, Error> {
        skip.validate()?;
        change(self, SkipEvent { open: self.0.clone(), view: view.to_owned(), skip }).await
    }

    async fn skipped(&self, view: &str) -> Result<Vec<SkippedEvent>, Error> {
        let _turn = self.0.turn(None).await?;
        Ok(views::skipped(&self.0, view).await?)
    }

    async fn views(&self) -> Result<Vec<ViewInfo>, Error> {
        let _turn = self.0.turn(None).await?;
        Ok(retried(&self.0, || Box::pin(views::list(&self.0))).await?)
    }

    async fn checkpoint(&self, table: &ViewTable) -> Result<Checkpoint, Error> {
        let _turn = self.0.turn(None).await?;
        Ok(answering(&self.0, table).await?.checkpoint)
    }

    async fn load(&self, table: &ViewTable, rows: &[RowAddress]) -> Result<Vec<LoadedRow>, Error> {
        let _turn = self.0.turn(None).await?;
        Ok(load_rows(self, table, rows).await?.into_iter().map(LoadedRow::from).collect())
    }

    async fn scan(
        &self,
        table: &ViewTable,
        after: Option<&RowAddress>,
        limit: usize,
    ) -> Result<ScannedRows, Error> {
        check_scan_limit(limit)?;
        let _turn = self.0.turn(None).await?;
        Ok(retried(&self.0, || Box::pin(scan_rows(self, table, after, limit))).await?)
    }

    async fn alterations(&self, table: &ViewTable) -> Result<Vec<String>, Error> {
        let _turn = self.0.turn(None).await?;
        answering(&self.0, table).await?;
        Ok(views::alterations(&self.0, table).await?)
    }

    async fn put_order(&self, view: &str, known: u64, body: &Json) -> Result<u64, Error> {
        check_order(body)?;
        let _turn = self.0.turn(None).await?;
        Ok(views::put_order(&self.0, view, known, body).await?)
    }

    async fn apply(&self, table: &ViewTable, batch: ViewBatch) -> Result<(), Error> {
        batch.validate(&table.schema)?;
        let _turn = self.0.turn(None).await?;
        let (from, to) = (batch.from, batch.to);
        match transact(&self.0, Apply { open: self.0.clone(), table: table.clone(), batch }).await {
            Ok(()) => Ok(()),
            // It may have been stored: the checkpoint tells. Where it is not moved yet the view is read again anyway.
            Err(Unstored::Doubtful(_)) if from != to && answering(&self.0, table).await?.checkpoint == to => {
                Ok(())
            }
            Err(Unstored::Doubtful(failure)) => Err(doubtful(&failure)),
            Err(Unstored::Nothing(failure)) => Err(failure.into()),
        }
    }

    async fn get(&self, table: &ViewTable, tenant: &TenantId, key: &str) -> Result<Option<RowValues>, Error> {
        let _turn = self.0.query_turn(tenant).await?;
        let address = RowAddress { tenant: tenant.clone(), key: key.to_owned() };
        Ok(load_rows(self, table, &[address]).await?.into_iter().flatten().next())
    }

    async fn query(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<RowPage, Error> {
        query.validate(&table.schema)?;
        let _turn = self.0.query_turn(tenant).await?;
        let read = || async {
            let mut session = snapshot(&self.0).await?;
            let position = answering_at(self, &mut session, table).await?.checkpoint.position;
            let found = reading(self, table).with(session, query).page(&table.schema, tenant, query).await?;
            Ok((position, found))
        };
        let (position, found) = retried(&self.0, || Box::pin(read())).await?;
        let rows = found.iter().map(|row| keyed(table, row).map(|(address, values)| (address.key, values)));
        Ok(RowPage::of(rows.collect::<Result<_, _>>()?, query, &table.schema, position))
    }

    async fn count(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        query.validate(&table.schema)?;
        let _turn = self.0.query_turn(tenant).await?;
        let read = || async {
            let mut session = snapshot(&self.0).await?;
            answering_at(self, &mut session, table).await?;
            reading(self, table).with(session, query).count(tenant, query).await
        };
        Ok(retried(&self.0, || Box::pin(read())).await?)
    }
}

fn check_definition(schema: &ViewSchema, found: &Stored) -> Result<(), Error> {
    underlay_core::adapter::check_definition(schema, found.fingerprint, &found.definition)
}

/// That nobody knows whether a change was stored.
fn doubtful(failure: &Failure) -> Error {
    Error::unavailable(format!(
        "it is uncertain whether the change was stored ({failure}); read it to find out"
    ))
}

/// Runs a change of the catalogue.
async fn change<W: Work>(store: &MongoStore, work: W) -> Result<W::Done, Error> {
    let _turn = store.0.turn(None).await?;
    transact(&store.0, work).await.map_err(|unstored| match unstored {
        Unstored::Nothing(failure) => failure.into(),
        Unstored::Doubtful(failure) => doubtful(&failure),
    })
}

/// Begins a generation of a view; none where another one was faster.
async fn begin(
    store: &MongoStore,
    schema: &ViewSchema,
    start: &Checkpoint,
    is_first: bool,
) -> Result<Option<u32>, Error> {
    let open = &store.0;
    let number = views::reserve(open, &schema.name).await?;
    views::make_collection(open, schema, number).await?;
    let begin = Begin { open: open.clone(), schema: schema.clone(), number, start: *start, is_first };
    match transact(open, begin).await {
        Ok(begun) => Ok(begun.then_some(number)),
        Err(Unstored::Nothing(failure)) => Err(failure.into()),
        Err(Unstored::Doubtful(failure)) => Err(doubtful(&failure)),
    }
}

/// A generation that answers, at the moment of a snapshot.
async fn answering_at(
    store: &MongoStore,
    session: &mut ClientSession,
    table: &ViewTable,
) -> Result<Stored, Failure> {
    let generations = store.0.as_of_snapshot(&store.0.own("generations"));
    answering_in(&store.0, &generations, session, table).await
}

fn reading<'a>(store: &'a MongoStore, table: &ViewTable) -> Reading<'a> {
    Reading::new(&store.0, collection(&store.0, &table.schema.name, table.generation))
}

/// The address and the values of a stored row.
fn keyed(table: &ViewTable, row: &Document) -> Result<(RowAddress, RowValues), Failure> {
    let place = || format!("a row in generation {} of view {}", table.generation, table.schema.name);
    let address = tenant_of(row).zip(key_of(row));
    let (tenant, key) = address
        .ok_or_else(|| Failure::damaged(format!("{} has no address of a tenant and a key", place())))?;
    let read = values(&table.schema, row);
    let read = read.map_err(|reason| Failure::damaged(format!("{} ({key:?}): {reason}", place())))?;
    Ok((RowAddress { tenant, key: key.to_owned() }, read))
}

/// Loads rows by address.
async fn load_rows(
    store: &MongoStore,
    table: &ViewTable,
    addresses: &[RowAddress],
) -> Result<Vec<Option<RowValues>>, Failure> {
    let asked: Vec<Bson> =
        addresses.iter().map(|address| Bson::Document(row_id(&address.tenant, &address.key))).collect();
    let rows = collection(&store.0, &table.schema.name, table.generation);
    let find = async {
        let found = rows.find(doc! { "_id": { "$in": asked } }).await?;
        found.try_collect::<Vec<Document>>().await
    };
    let found = store.0.read(Box::pin(find)).await?;
    // Asked last: what a generation that still answers has was not swept meanwhile.
    answering(&store.0, table).await?;
    let mut by_address = HashMap::with_capacity(found.len());
    for row in &found {
        let (address, values) = keyed(table, row)?;
        by_address.insert(address, values);
    }
    Ok(addresses.iter().map(|address| by_address.get(address).cloned()).collect())
}

/// Reads rows of all tenants above an address, with the checkpoint of the same moment.
async fn scan_rows(
    store: &MongoStore,
    table: &ViewTable,
    after: Option<&RowAddress>,
    limit: usize,
) -> Result<ScannedRows, Failure> {
    let open = &store.0;
    let mut session = snapshot(open).await?;
    let checkpoint = answering_at(store, &mut session, table).await?.checkpoint;
    let above = after.map(|after| doc! { "_id": { "$gt": row_id(&after.tenant, &after.key) } });
    let rows = open.as_of_snapshot(&collection(open, &table.schema.name, table.generation));
    let most = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
    let find = rows
        .find(above.unwrap_or_default())
        .sort(doc! { "_id": 1 })
        .hint(Hint::Name(index_of(None)))
        .limit(most);
    let mut found = open.read(Box::pin(async { find.session(&mut session).await })).await?;
    let (mut scanned, mut bytes) = (ScannedRows { rows: Vec::new(), more: false, checkpoint }, 0);
    while let Some(row) = open.read(Box::pin(async { found.next(&mut session).await.transpose() })).await? {
        if scanned.rows.len() == limit || bytes >= SCAN_BYTES_MAX {
            scanned.more = true;
            break;
        }
        let (address, values) = keyed(table, &row)?;
        bytes += text_bytes(&address.key, &values);
        scanned.rows.push((address, Some(values).into()));
    }
    Ok(scanned)
}
