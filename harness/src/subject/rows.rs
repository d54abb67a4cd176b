//! Servers that keep the rows of views beside the log of another store.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use servers::{Missing, Mongodb, Redis};
use underlay_core::adapter::{Adapter, Backend, OptionValues};
use underlay_mongodb::MongoAdapter;
use underlay_redis::RedisAdapter;

use crate::Result;

/// What keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowsKind {
    Mongodb,
    Redis,
}

/// A private server, which nobody else feels the end of.
#[derive(Debug)]
pub(crate) enum RowsServer {
    Mongodb(Mongodb),
    Redis(Redis),
}

/// Where the rows of one store are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowsAddress(String);

impl RowsKind {
    pub(crate) fn start(self) -> std::result::Result<RowsServer, Missing> {
        tokio::task::block_in_place(|| match self {
            Self::Mongodb => Mongodb::start().map(RowsServer::Mongodb),
            Self::Redis => Redis::start().map(RowsServer::Redis),
        })
    }
}

impl RowsServer {
    /// A place without rows. No other on this server has this name, of `a-z 0-9 _`.
    pub(crate) fn place(&self, name: &str) -> RowsAddress {
        RowsAddress(match self {
            Self::Mongodb(server) => server.address_of(name),
            Self::Redis(server) => format!("{}?prefix={name}", server.address()),
        })
    }

    /// Kills it, and starts it again with what it has on the disk.
    pub(crate) fn crash(&mut self) -> Result<()> {
        tokio::task::block_in_place(|| match self {
            Self::Mongodb(server) => server.stop(true).and_then(|()| server.resume()),
            Self::Redis(server) => server.stop("KILL").and_then(|()| server.resume()),
        })
    }
}

impl RowsAddress {
    /// Opens them.
    pub(super) async fn open(&self) -> Result<Backend> {
        let adapters: [Box<dyn Adapter>; 2] =
            [Box::new(MongoAdapter::default()), Box::new(RedisAdapter::default())];
        let scheme = self.0.split(':').next().unwrap_or_default();
        let adapter = adapters.iter().find(|adapter| adapter.schemes().contains(&scheme));
        let adapter = adapter.ok_or_else(|| format!("no store of rows has an address {scheme}:…"))?;
        Ok(adapter.open(&self.0, &OptionValues::new()).await?)
    }
}

impl FromStr for RowsAddress {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for RowsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
