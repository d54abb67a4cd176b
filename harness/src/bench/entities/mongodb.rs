use std::ops::Range;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use mongodb::options::{Hint, IndexOptions, ReadConcern, WriteConcern};
use mongodb::{Client, Collection, Database, IndexModel};
use servers::Mongodb;
use underlay_mongodb::MongoAdapter;

use super::ours::Ours;
use super::{Keeper, Opened, PAGE, Rate, base, id};
use crate::Result;

const COLLECTION: &str = "bare";
const INDEX: &str = "by_base";

/// One database: with the collection of the store, and one for the driver alone.
pub(super) async fn open() -> Result<Opened> {
    let server = tokio::task::block_in_place(Mongodb::start)?;
    let address = server.address_of("bench");
    let ours = Ours::at(&MongoAdapter::default(), &address).await?;
    let alone = Box::new(Alone::new(&address).await?);
    Ok(Opened { ours, alone, server: Box::new(server) })
}

struct Alone {
    client: Client,
    database: Database,
    rates: Collection<Document>,
}

impl Alone {
    async fn new(address: &str) -> Result<Self> {
        let mut options = mongodb::options::ClientOptions::parse(address).await?;
        options.read_concern = Some(ReadConcern::majority());
        options.write_concern = Some(majority());
        let client = Client::with_options(options)?;
        let database = client.database("bench");
        let rates = database.collection(COLLECTION);
        let index = IndexOptions::builder().name(INDEX.to_owned()).build();
        let by_base =
            IndexModel::builder().keys(doc! { "_id.t": 1, "c.base": 1, "_id.k": 1 }).options(index).build();
        rates.create_index(by_base).await?;
        Ok(Self { client, database, rates })
    }

    /// Sends one command in a transaction of its own.
    async fn together(&self, command: Document, count: usize) -> Result<()> {
        let mut session = self.client.start_session().await?;
        session.start_transaction().read_concern(ReadConcern::snapshot()).write_concern(majority()).await?;
        let answer = self.database.run_command(command).session(&mut session).await?;
        if usize::try_from(answer.get_i32("n")?)? != count {
            return Err(format!("of {count} changes not all were made: {answer}").into());
        }
        Ok(session.commit_transaction().await?)
    }
}

fn majority() -> WriteConcern {
    let mut concern = WriteConcern::majority();
    concern.journal = Some(true);
    concern
}

fn columns(rate: &Rate) -> Document {
    doc! { "base": rate.base.as_str(), "value": rate.value, "note": rate.note.as_str() }
}

fn address(id: &str) -> Document {
    doc! { "t": "bench", "k": id }
}

fn document(number: u64) -> Document {
    let rate = Rate::of(number, 1);
    doc! { "_id": address(&rate.id), "v": 1_i64, "c": columns(&rate) }
}

/// The rate at a version, and what an update makes of it.
fn update(number: u64, version: u64) -> Result<(Document, Document)> {
    let rate = Rate::of(number, version + 1);
    let version = i64::try_from(version)?;
    let after = doc! { "$set": { "v": version + 1, "c": columns(&rate) } };
    Ok((doc! { "_id": address(&rate.id), "v": version }, after))
}

#[async_trait]
impl Keeper for Alone {
    async fn create(&self, numbers: Range<u64>) -> Result<()> {
        let documents: Vec<Document> = numbers.map(document).collect();
        if let [document] = documents.as_slice() {
            self.rates.insert_one(document).await?;
            return Ok(());
        }
        let count = documents.len();
        self.together(doc! { "insert": COLLECTION, "documents": documents }, count).await
    }

    async fn get(&self, number: u64) -> Result<u64> {
        let found = self.rates.find_one(doc! { "_id": address(&id(number)) }).await?;
        Ok(found.map_or(Ok(0), |found| found.get_i64("v"))?.unsigned_abs())
    }

    async fn update(&self, numbers: Range<u64>, version: u64) -> Result<()> {
        let updates = numbers.map(|number| update(number, version)).collect::<Result<Vec<_>>>()?;
        if let [(meant, after)] = updates.as_slice() {
            let updated = self.rates.update_one(meant.clone(), after.clone()).await?;
            let was_there = updated.matched_count == 1;
            return was_there.then_some(()).ok_or_else(|| format!("{meant} is not there").into());
        }
        let count = updates.len();
        let statements: Vec<Document> =
            updates.into_iter().map(|(meant, after)| doc! { "q": meant, "u": after }).collect();
        self.together(doc! { "update": COLLECTION, "updates": statements }, count).await
    }

    async fn page(&self, number: u64) -> Result<usize> {
        // One more says that another page follows.
        let limit = u32::try_from(PAGE + 1)?;
        let found = self
            .rates
            .find(doc! { "_id.t": "bench", "c.base": base(number) })
            .sort(doc! { "_id.t": 1, "c.base": 1, "_id.k": 1 })
            .hint(Hint::Name(INDEX.to_owned()))
            .limit(i64::from(limit))
            .batch_size(limit)
            .await?;
        Ok(found.try_collect::<Vec<Document>>().await?.len().min(PAGE))
    }
}
