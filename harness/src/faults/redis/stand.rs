use std::path::Path;

use async_trait::async_trait;
use servers::Redis;
use underlay_core::adapter::{Adapter, Backend, OptionValues};
use underlay_redis::RedisAdapter;

use crate::Result;
use crate::faults::entities::{Stand, Times};

/// Options of an address by which a store gives up soon.
const SHORT: &str = "connect_timeout=700ms&response_timeout=700ms&query_timeout=1s";

/// A Redis that flushes every change before it answers.
pub(super) struct RedisStand(pub(super) Redis);

impl RedisStand {
    pub(super) fn with(arguments: &[&str]) -> Result<Self> {
        Ok(Self(tokio::task::block_in_place(|| Redis::start_with(arguments))?))
    }
}

#[async_trait]
impl Stand for RedisStand {
    async fn start(folder: Option<&Path>) -> Result<Self> {
        match folder {
            None => Self::with(&[]),
            Some(folder) => Self::with(&["--dir", &folder.to_string_lossy()]),
        }
    }

    fn port(&self) -> u16 {
        self.0.port()
    }

    async fn open(&self, port: u16, times: Times) -> Result<Backend> {
        let address = match times {
            Times::Usual => format!("redis://127.0.0.1:{port}"),
            Times::Short => format!("redis://127.0.0.1:{port}?{SHORT}"),
        };
        Ok(RedisAdapter::default().open(&address, &OptionValues::new()).await?)
    }

    fn stop(&mut self, hard: bool) -> Result<()> {
        self.0.stop(if hard { "KILL" } else { "TERM" })
    }

    fn resume(&mut self) -> Result<()> {
        self.0.resume()
    }
}
