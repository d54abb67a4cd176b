//! The baseline on PostgreSQL: a table of jobs, from which each worker takes 200 in a transaction, does them, and
//! deletes them. There is no order, no key, no term and no second attempt.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;
use tokio_postgres::Client;

use super::backlog::BATCH;
use super::courier::message;
use super::drain::Rates;
use crate::Result;
use crate::subject::Place;

/// Connections that fill it, as many as tenants fill ours.
const FILLERS: u64 = super::courier::TENANTS;

const TABLE: &str = "CREATE TABLE bare_jobs (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, tenant text NOT NULL, \
                     key text NOT NULL, name text NOT NULL, payload json NOT NULL)";
const INSERT: &str = "INSERT INTO bare_jobs (tenant, key, name, payload) SELECT tenant, key, name, payload::json FROM \
                      unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS given (tenant, key, name, payload)";
const TAKE: &str = "DELETE FROM bare_jobs WHERE id IN (SELECT id FROM bare_jobs ORDER BY id LIMIT 200 FOR UPDATE SKIP \
                    LOCKED) RETURNING id, tenant, key, name, payload::text";

pub(super) struct BareTable(Arc<dyn Place>);

impl BareTable {
    pub(super) async fn create(place: Arc<dyn Place>) -> Result<Self> {
        let table = Self(place);
        table.connect().await?.batch_execute(TABLE).await?;
        Ok(table)
    }

    async fn connect(&self) -> Result<Client> {
        self.0.database().ok_or("a bare table is in a database")?.admin().await
    }

    pub(super) async fn drain(&self, workers: usize, count: u64) -> Result<Rates> {
        let mut clients = Vec::new();
        for _ in 0..FILLERS {
            clients.push(self.connect().await?);
        }
        let begun = Instant::now();
        let mut filling = JoinSet::new();
        for (filler, client) in (0..FILLERS).zip(clients) {
            filling.spawn(fill(client, 0..count, filler));
        }
        while let Some(filled) = filling.join_next().await {
            filled??;
        }
        let stored = begun.elapsed();
        let mut clients = Vec::new();
        for _ in 0..workers {
            clients.push(self.connect().await?);
        }
        let begun = Instant::now();
        let mut working = JoinSet::new();
        for client in clients {
            working.spawn(work(client));
        }
        let mut done = 0;
        while let Some(own) = working.join_next().await {
            done += own??;
        }
        let drained = begun.elapsed();
        if done != count {
            return Err(format!("of {count} bare jobs {done} were done").into());
        }
        Ok(Rates::of(count, stored, drained))
    }
}

/// Inserts those of its numbers that are this filler's.
async fn fill(client: Client, numbers: Range<u64>, filler: u64) -> Result<()> {
    let insert = client.prepare(INSERT).await?;
    let own: Vec<u64> = numbers.filter(|number| number % FILLERS == filler).collect();
    for batch in own.chunks(BATCH) {
        let sent = batch.iter().map(|number| message(*number)).collect::<Result<Vec<_>>>()?;
        let tenants: Vec<&str> = sent.iter().map(|(tenant, _)| tenant.as_str()).collect();
        let keys: Vec<&str> = sent.iter().map(|(_, work)| work.key.as_str()).collect();
        let names: Vec<&str> = sent.iter().map(|(_, work)| work.name.as_str()).collect();
        let payloads: Vec<&str> = sent.iter().map(|(_, work)| work.payload.text().as_str()).collect();
        client.execute(&insert, &[&tenants, &keys, &names, &payloads]).await?;
    }
    Ok(())
}

/// Takes jobs until there are none; how many it did.
async fn work(mut client: Client) -> Result<u64> {
    let take = client.prepare(TAKE).await?;
    let mut done = 0;
    loop {
        let turn = client.transaction().await?;
        let rows = turn.query(&take, &[]).await?;
        for row in &rows {
            // As a handler would: it is read.
            let payload: &str = row.try_get(4)?;
            done += u64::from(!payload.is_empty());
        }
        turn.commit().await?;
        if rows.is_empty() {
            return Ok(done);
        }
    }
}
