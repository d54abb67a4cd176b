//! The primary is no longer the one it was.

use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mongodb::Client;
use mongodb::bson::doc;
use servers::Mongodb;
use underlay_core::adapter::{Adapter, Backend, OptionValues};
use underlay_mongodb::MongoAdapter;

use super::stand::{DATABASE, MongodbStand};
use crate::Result;
use crate::faults::entities::{AFTER, BEFORE, Load, Stand, Times};
use crate::faults::fault::Means;
use crate::faults::report::Measured;

/// Servers of a set that has a majority without one of them.
const MEMBERS: usize = 3;
/// How long a set may be without a primary.
const PRIMARY_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// The primary steps down under load, and is elected again.
pub(super) async fn steps_down(means: &Means) -> Result<Measured> {
    let mut measured = Measured::default();
    let stand = MongodbStand::start(None).await?;
    let load = Load::start(&stand, stand.port(), Times::Usual).await?;
    let (mut moments, mut reads) = (Vec::new(), Duration::ZERO);
    for _ in 0..if means.quick { 1 } else { 5 } {
        tokio::time::sleep(BEFORE).await;
        let admin = client(stand.port()).await?;
        // The connection may end before it has answered.
        admin.database("admin").run_command(doc! { "replSetStepDown": 1, "force": true }).await.ok();
        wait_for_primary(&[stand.port()]).await?;
        let elected = Instant::now();
        reads = reads.max(load.goes_on(elected).await?);
        moments.push(elected);
    }
    tokio::time::sleep(AFTER).await;
    measured.see(format!("{} times the primary stepped down", moments.len()));
    load.finish(&stand, &moments, reads, &mut measured).await?;
    Ok(measured)
}

/// The primary of three is killed under load, another is elected, and the old one comes back.
pub(super) async fn failover(means: &Means) -> Result<Measured> {
    let mut measured = Measured::default();
    let mut stand = Set::start(None).await?;
    let load = Load::start(&stand, stand.port(), Times::Usual).await?;
    let (mut moments, mut reads) = (Vec::new(), Duration::ZERO);
    for _ in 0..if means.quick { 1 } else { 3 } {
        tokio::time::sleep(BEFORE).await;
        let primary = wait_for_primary(&stand.ports()).await?;
        tokio::task::block_in_place(|| stand.member(primary)?.stop(true))?;
        let others: Vec<u16> = stand.ports().into_iter().filter(|port| *port != primary).collect();
        wait_for_primary(&others).await?;
        let elected = Instant::now();
        reads = reads.max(load.goes_on(elected).await?);
        moments.push(elected);
        tokio::time::sleep(AFTER).await;
        tokio::task::block_in_place(|| stand.member(primary)?.resume())?;
        tokio::time::sleep(AFTER).await;
    }
    measured.see(format!("{} times the primary of {MEMBERS} was killed, and another elected", moments.len()));
    load.finish(&stand, &moments, reads, &mut measured).await?;
    Ok(measured)
}

/// A replica set of several servers.
struct Set(Vec<Mongodb>);

impl Set {
    fn ports(&self) -> Vec<u16> {
        self.0.iter().map(Mongodb::port).collect()
    }

    fn member(&mut self, port: u16) -> Result<&mut Mongodb> {
        let member = self.0.iter_mut().find(|member| member.port() == port);
        member.ok_or_else(|| format!("no member of the set has port {port}").into())
    }
}

#[async_trait]
impl Stand for Set {
    async fn start(_: Option<&Path>) -> Result<Self> {
        let set = Self(tokio::task::block_in_place(|| Mongodb::start_set(MEMBERS))?);
        wait_for_primary(&set.ports()).await?;
        Ok(set)
    }

    fn port(&self) -> u16 {
        self.0.first().map_or(0, Mongodb::port)
    }

    async fn open(&self, _: u16, _: Times) -> Result<Backend> {
        let first = self.0.first().ok_or("a set has members")?;
        Ok(MongoAdapter::default().open(&first.address_of(DATABASE), &OptionValues::new()).await?)
    }

    fn stop(&mut self, hard: bool) -> Result<()> {
        self.0.iter_mut().try_for_each(|member| member.stop(hard))
    }

    fn resume(&mut self) -> Result<()> {
        self.0.iter_mut().try_for_each(Mongodb::resume)
    }
}

async fn client(port: u16) -> Result<Client> {
    let address = format!("mongodb://127.0.0.1:{port}/?directConnection=true&serverSelectionTimeoutMS=1000");
    Ok(Client::with_uri_str(address).await?)
}

/// Waits until one of the servers takes writes; its port.
async fn wait_for_primary(ports: &[u16]) -> Result<u16> {
    let began = Instant::now();
    while began.elapsed() < PRIMARY_MAX {
        for port in ports {
            let hello = client(*port).await?.database("admin").run_command(doc! { "hello": 1 }).await;
            if hello.is_ok_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or_default()) {
                return Ok(*port);
            }
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(format!("no server takes writes within {PRIMARY_MAX:?}").into())
}
