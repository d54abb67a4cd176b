use std::ops::Range;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use tokio::sync::Mutex;
use tokio_postgres::{Client, GenericClient, Statement};
use underlay_postgres::PostgresAdapter;

use super::ours::Ours;
use super::{Keeper, Opened, PAGE, Rate, base, id};
use crate::Result;
use crate::subject::{Place, Postgres, PostgresPlace, Way};

const TABLE: &str = "CREATE TABLE bare (tenant text COLLATE \"C\" NOT NULL, \"key\" text COLLATE \"C\" NOT NULL, version \
                     bigint NOT NULL, base text COLLATE \"C\" NOT NULL, value bigint NOT NULL, note text COLLATE \"C\" NOT \
                     NULL, PRIMARY KEY (tenant, \"key\")); CREATE INDEX ON bare (tenant, base, \"key\")";
const INSERT: &str =
    "INSERT INTO bare (tenant, \"key\", version, base, value, note) VALUES ('bench', $1, 1, $2, $3, $4)";
const SELECT: &str = "SELECT base, value, note, version FROM bare WHERE tenant = 'bench' AND \"key\" = $1";
const UPDATE: &str = "UPDATE bare SET base = $1, value = $2, note = $3, version = $4 + 1 WHERE tenant = 'bench' AND \
                      \"key\" = $5 AND version = $4";
const PAGE_OF: &str = "SELECT \"key\", base, value, note, version FROM bare WHERE tenant = 'bench' AND base = $1 ORDER BY \
                       \"key\" LIMIT $2";

/// One database: with the schema of the store, and a table for the driver alone.
pub(super) async fn open() -> Result<Opened> {
    let subject = Postgres::start()?;
    let place = subject.new_place().await?;
    let ours = Ours::at(&PostgresAdapter::default(), &place.address(Way::USUAL).to_string()).await?;
    let alone = Box::new(Alone::new(&place).await?);
    Ok(Opened { ours, alone, server: Box::new((place, subject)) })
}

struct Alone {
    client: Mutex<Client>,
    insert: Statement,
    select: Statement,
    update: Statement,
    page: Statement,
}

impl Alone {
    async fn new(place: &PostgresPlace) -> Result<Self> {
        let client = place.admin().await?;
        client.batch_execute(TABLE).await?;
        Ok(Self {
            insert: client.prepare(INSERT).await?,
            select: client.prepare(SELECT).await?,
            update: client.prepare(UPDATE).await?,
            page: client.prepare(PAGE_OF).await?,
            client: Mutex::new(client),
        })
    }
}

impl Alone {
    async fn insert_one(&self, client: &impl GenericClient, number: u64) -> Result<()> {
        let Rate { id, base, value, note } = Rate::of(number, 1);
        client.execute(&self.insert, &[&id, &base, &value, &note]).await?;
        Ok(())
    }

    async fn update_one(&self, client: &impl GenericClient, number: u64, version: u64) -> Result<()> {
        let Rate { id, base, value, note } = Rate::of(number, version + 1);
        let version = i64::try_from(version)?;
        match client.execute(&self.update, &[&base, &value, &note, &version, &id]).await? {
            1 => Ok(()),
            _ => Err(format!("{id} is not at version {version}").into()),
        }
    }
}

fn is_one(numbers: &Range<u64>) -> bool {
    numbers.end - numbers.start == 1
}

#[async_trait]
impl Keeper for Alone {
    async fn create(&self, numbers: Range<u64>) -> Result<()> {
        let mut client = self.client.lock().await;
        if is_one(&numbers) {
            return self.insert_one(&*client, numbers.start).await;
        }
        let transaction = client.transaction().await?;
        // All of them are sent before the first is answered.
        try_join_all(numbers.map(|number| self.insert_one(&transaction, number))).await?;
        Ok(transaction.commit().await?)
    }

    async fn get(&self, number: u64) -> Result<u64> {
        let found = self.client.lock().await.query_opt(&self.select, &[&id(number)]).await?;
        let Some(row) = found else { return Ok(0) };
        let _: (String, i64, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        Ok(row.try_get::<_, i64>(3)?.unsigned_abs())
    }

    async fn update(&self, numbers: Range<u64>, version: u64) -> Result<()> {
        let mut client = self.client.lock().await;
        if is_one(&numbers) {
            return self.update_one(&*client, numbers.start, version).await;
        }
        let transaction = client.transaction().await?;
        try_join_all(numbers.map(|number| self.update_one(&transaction, number, version))).await?;
        Ok(transaction.commit().await?)
    }

    async fn page(&self, number: u64) -> Result<usize> {
        let limit = i64::try_from(PAGE + 1)?;
        let found = self.client.lock().await.query(&self.page, &[&base(number), &limit]).await?;
        for row in &found {
            let _: (String, String, i64, String, i64) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
        }
        Ok(found.len().min(PAGE))
    }
}
