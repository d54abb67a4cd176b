//! A port of this machine whose connections somebody carries on to a server.

use std::net::Ipv4Addr;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::Result;

/// Takes connections. Dropped, it takes no more, and those it took are cut.
pub(crate) struct Entrance {
    port: u16,
    accepting: JoinHandle<()>,
}

impl Entrance {
    /// Gives each connection to `carry`.
    pub(crate) async fn open<C, F>(carry: C) -> Result<Self>
    where
        C: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                // Small messages; waiting to fill a packet would only slow the load down.
                client.set_nodelay(true).ok();
                connections.spawn(carry(client));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { port, accepting })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
