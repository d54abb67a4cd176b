use std::path::Path;

use async_trait::async_trait;
use underlay_core::adapter::Backend;

use crate::Result;

/// How patient a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    /// As it is by itself.
    Usual,
    /// It gives up within a second or two, so that a silent network does not take minutes to test.
    Short,
}

/// A server of a fault's own that keeps entities.
#[async_trait]
pub(crate) trait Stand: Sized + Send {
    /// Starts it, with its files in a folder where one is named.
    async fn start(folder: Option<&Path>) -> Result<Self>;

    fn port(&self) -> u16;

    /// Opens a store at a port of this machine that leads to the server.
    async fn open(&self, port: u16, times: Times) -> Result<Backend>;

    /// Stops it: in good order, or by a kill.
    fn stop(&mut self, hard: bool) -> Result<()>;

    /// Starts it again with what it has on the disk, until it answers.
    fn resume(&mut self) -> Result<()>;
}
