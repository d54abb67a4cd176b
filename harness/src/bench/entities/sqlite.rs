use std::ops::Range;
use std::sync::mpsc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;
use underlay_sqlite::SqliteAdapter;

use super::ours::Ours;
use super::{Keeper, PAGE, Rate, base, id};
use crate::Result;
use crate::bench::disk::Disk;
use crate::bench::plain_appends;

const TABLE: &str = "CREATE TABLE bare (tenant TEXT NOT NULL, \"key\" TEXT NOT NULL, version INTEGER NOT NULL, \
                     base TEXT NOT NULL, value INTEGER NOT NULL, note TEXT NOT NULL, PRIMARY KEY (tenant, \"key\")) STRICT, \
                     WITHOUT ROWID; CREATE INDEX bare_by_base ON bare (tenant, base, \"key\")";
const INSERT: &str =
    "INSERT INTO bare (tenant, \"key\", version, base, value, note) VALUES ('bench', ?1, 1, ?2, ?3, ?4)";
const SELECT: &str = "SELECT base, value, note, version FROM bare WHERE tenant = 'bench' AND \"key\" = ?1";
const UPDATE: &str = "UPDATE bare SET base = ?1, value = ?2, note = ?3, version = ?4 + 1 WHERE tenant = 'bench' AND \
                      \"key\" = ?5 AND version = ?4";
const PAGE_OF: &str = "SELECT \"key\", base, value, note, version FROM bare WHERE tenant = 'bench' AND base = ?1 ORDER BY \
                       base, \"key\" LIMIT ?2";

/// Two files: of the store, and of the driver alone.
pub(super) async fn open(disk: &Disk) -> Result<(Ours, Alone)> {
    let ours = Ours::at(&SqliteAdapter::default(), &format!("sqlite:{}", disk.file("entities.db").display()))
        .await?;
    let path = disk.file("bare-entities.db");
    Ok((ours, Alone::start(plain_appends::create(&path).await?, plain_appends::open(&path)?)?))
}

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// A connection on a thread of its own for writes, and another for reads: as a program uses it that does not hold up
/// others.
pub(super) struct Alone {
    writer: mpsc::Sender<Work>,
    reader: mpsc::Sender<Work>,
}

impl Alone {
    fn start(writer: Connection, reader: Connection) -> Result<Self> {
        writer.execute_batch(TABLE)?;
        Ok(Self { writer: on_thread(writer)?, reader: on_thread(reader)? })
    }

    async fn write(&self, write: impl FnOnce(&Connection) -> Result<()> + Send + 'static) -> Result<()> {
        let in_transaction = move |connection: &mut Connection| {
            let transaction =
                connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            write(&transaction)?;
            Ok(transaction.commit()?)
        };
        done(&self.writer, in_transaction).await
    }
}

fn on_thread(mut connection: Connection) -> Result<mpsc::Sender<Work>> {
    let (sender, works) = mpsc::channel::<Work>();
    std::thread::Builder::new().name("bare-entities".to_owned()).spawn(move || {
        for work in works {
            work(&mut connection);
        }
    })?;
    Ok(sender)
}

async fn done<T: Send + 'static>(
    thread: &mpsc::Sender<Work>,
    work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (answer, answered) = oneshot::channel();
    let work: Work = Box::new(move |connection| drop(answer.send(work(connection))));
    thread.send(work).map_err(|_| "the thread of the driver has ended")?;
    answered.await?
}

#[async_trait]
impl Keeper for Alone {
    async fn create(&self, numbers: Range<u64>) -> Result<()> {
        self.write(move |connection| {
            let mut insert = connection.prepare_cached(INSERT)?;
            for number in numbers {
                let rate = Rate::of(number, 1);
                insert.execute(params![rate.id, rate.base, rate.value, rate.note])?;
            }
            Ok(())
        })
        .await
    }

    async fn get(&self, number: u64) -> Result<u64> {
        done(&self.reader, move |connection| {
            let mut select = connection.prepare_cached(SELECT)?;
            let read = |row: &rusqlite::Row<'_>| {
                let _: (String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
                row.get::<_, u64>(3)
            };
            Ok(select.query_row([id(number)], read).optional()?.unwrap_or_default())
        })
        .await
    }

    async fn update(&self, numbers: Range<u64>, version: u64) -> Result<()> {
        self.write(move |connection| {
            let mut update = connection.prepare_cached(UPDATE)?;
            for number in numbers {
                let rate = Rate::of(number, version + 1);
                if update.execute(params![rate.base, rate.value, rate.note, version, rate.id])? != 1 {
                    return Err(format!("{number} is not at version {version}").into());
                }
            }
            Ok(())
        })
        .await
    }

    async fn page(&self, number: u64) -> Result<usize> {
        done(&self.reader, move |connection| {
            let mut select = connection.prepare_cached(PAGE_OF)?;
            let read = |row: &rusqlite::Row<'_>| {
                let rate: (String, String, i64, String, u64) =
                    (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
                Ok(rate)
            };
            // One more says that another page follows.
            let found = select.query_map(params![base(number), PAGE + 1], read)?;
            let found = found.collect::<std::result::Result<Vec<_>, _>>()?;
            Ok(found.len().min(PAGE))
        })
        .await
    }
}
