use std::path::Path;

use async_trait::async_trait;
use servers::Mongodb;
use underlay_core::adapter::{Adapter, Backend, OptionValues};
use underlay_mongodb::MongoAdapter;

use crate::Result;
use crate::faults::entities::{Stand, Times};

pub(super) const DATABASE: &str = "books";
/// Options of an address by which a store gives up soon.
const SHORT: &str = "underlay_write_timeout=2s&underlay_read_timeout=2s&underlay_query_timeout=1s&\
                     underlay_connect_timeout=1s&underlay_selection_timeout=1s";

/// A replica set of one server.
pub(super) struct MongodbStand(pub(super) Mongodb);

#[async_trait]
impl Stand for MongodbStand {
    async fn start(folder: Option<&Path>) -> Result<Self> {
        let start = || folder.map_or_else(Mongodb::start, Mongodb::start_in);
        Ok(Self(tokio::task::block_in_place(start)?))
    }

    fn port(&self) -> u16 {
        self.0.port()
    }

    async fn open(&self, port: u16, times: Times) -> Result<Backend> {
        // The set tells where its members are, and that is past whatever stands between.
        let address = match port == self.port() {
            true => self.0.address_of(DATABASE),
            false => format!("mongodb://127.0.0.1:{port}/{DATABASE}?directConnection=true"),
        };
        let address = match times {
            Times::Usual => address,
            Times::Short => format!("{address}&{SHORT}"),
        };
        Ok(MongoAdapter::default().open(&address, &OptionValues::new()).await?)
    }

    fn stop(&mut self, hard: bool) -> Result<()> {
        self.0.stop(hard)
    }

    fn resume(&mut self) -> Result<()> {
        self.0.resume()
    }
}
