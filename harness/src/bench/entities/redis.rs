use std::ops::Range;

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{Client, Pipeline, cmd, pipe};
use servers::Redis;
use underlay_redis::RedisAdapter;

use super::ours::Ours;
use super::{Keeper, Opened, PAGE, Rate, base, id};
use crate::Result;

const IDS: &str = "bare:ids";
const BY_BASE: &str = "bare:by_base";

/// One server that flushes every change: with the keys of the store, and others for the driver alone.
pub(super) async fn open() -> Result<Opened> {
    let server = tokio::task::block_in_place(Redis::start)?;
    let ours = Ours::at(&RedisAdapter::default(), &server.address()).await?;
    let connection = Client::open(server.address())?.get_multiplexed_async_connection().await?;
    Ok(Opened { ours, alone: Box::new(Alone(connection)), server: Box::new(server) })
}

/// Hashes and two sorted sets, changed by `MULTI`. One caller at a time: `WATCH` is of the connection.
struct Alone(MultiplexedConnection);

fn key(id: &str) -> String {
    format!("bare:{id}")
}

/// Where a rate stands in the index of its base.
fn member(base: &str, id: &str) -> String {
    format!("{base}\0{id}")
}

fn write(pipe: &mut Pipeline, rate: &Rate, version: u64) {
    pipe.hset_multiple(
        key(&rate.id),
        &[
            ("version", version.to_string()),
            ("base", rate.base.clone()),
            ("value", rate.value.to_string()),
            ("note", rate.note.clone()),
        ],
    )
    .ignore();
}

#[async_trait]
impl Keeper for Alone {
    async fn create(&self, numbers: Range<u64>) -> Result<()> {
        let mut all = pipe();
        all.atomic();
        for rate in numbers.map(|number| Rate::of(number, 1)) {
            write(&mut all, &rate, 1);
            all.zadd(IDS, &rate.id, 0).ignore();
            all.zadd(BY_BASE, member(&rate.base, &rate.id), 0).ignore();
        }
        Ok(all.query_async(&mut self.0.clone()).await?)
    }

    async fn get(&self, number: u64) -> Result<u64> {
        let fields: Vec<(String, String)> =
            cmd("HGETALL").arg(key(&id(number))).query_async(&mut self.0.clone()).await?;
        let version = fields.iter().find(|(name, _)| name == "version");
        Ok(version.map_or(Ok(0), |(_, version)| version.parse())?)
    }

    async fn update(&self, numbers: Range<u64>, version: u64) -> Result<()> {
        let rates: Vec<Rate> = numbers.map(|number| Rate::of(number, version + 1)).collect();
        let mut watch = pipe();
        for rate in &rates {
            watch.cmd("WATCH").arg(key(&rate.id)).ignore();
            // The base too: where it is another, the index changes.
            watch.cmd("HMGET").arg(key(&rate.id)).arg("version").arg("base");
        }
        let stored: Vec<(u64, String)> = watch.query_async(&mut self.0.clone()).await?;
        if let Some(other) = stored.iter().find(|(stored, _)| *stored != version) {
            return Err(format!("a rate is at version {}, not {version}", other.0).into());
        }
        let mut all = pipe();
        all.atomic();
        for (rate, (_, before)) in rates.iter().zip(&stored) {
            write(&mut all, rate, version + 1);
            if *before != rate.base {
                all.zrem(BY_BASE, member(before, &rate.id)).ignore();
                all.zadd(BY_BASE, member(&rate.base, &rate.id), 0).ignore();
            }
        }
        let changed: Option<()> = all.query_async(&mut self.0.clone()).await?;
        changed.ok_or_else(|| "others changed a rate meanwhile".into())
    }

    async fn page(&self, number: u64) -> Result<usize> {
        let base = base(number);
        let members: Vec<String> = cmd("ZRANGE")
            .arg(BY_BASE)
            .arg(format!("[{base}\0"))
            .arg(format!("({base}\u{1}"))
            .arg("BYLEX")
            .arg("LIMIT")
            .arg(0)
            // One more says that another page follows.
            .arg(PAGE + 1)
            .query_async(&mut self.0.clone())
            .await?;
        let mut all = pipe();
        for member in &members {
            all.hgetall(key(member.split_once('\0').map_or("", |(_, id)| id)));
        }
        let found: Vec<Vec<(String, String)>> = all.query_async(&mut self.0.clone()).await?;
        Ok(found.len().min(PAGE))
    }
}
