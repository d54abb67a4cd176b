//! Servers that keep entities, or the rows of views, beside the log of another store.

use clap::ValueEnum;
use servers::{Missing, Mongodb, Redis};
use underlay_core::adapter::{Adapter, Backend, OptionValues};
use underlay_mongodb::MongoAdapter;
use underlay_redis::RedisAdapter;

use crate::Result;

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Beside {
    Mongodb,
    Redis,
}

/// A server of this run.
pub(super) enum Server {
    Mongodb(Mongodb),
    Redis(Redis),
}

impl Beside {
    pub(super) fn start(self) -> std::result::Result<Server, Missing> {
        tokio::task::block_in_place(|| match self {
            Self::Mongodb => Mongodb::start().map(Server::Mongodb),
            Self::Redis => Redis::start().map(Server::Redis),
        })
    }
}

impl Server {
    /// The ports of a store on it.
    pub(super) async fn open(&self) -> Result<Backend> {
        let options = OptionValues::new();
        Ok(match self {
            Self::Mongodb(server) => {
                MongoAdapter::default().open(&server.address_of("tenants"), &options).await?
            }
            Self::Redis(server) => RedisAdapter::default().open(&server.address(), &options).await?,
        })
    }
}
