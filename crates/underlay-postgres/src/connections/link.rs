//! A connection: of one task's own, such as the committer's and the listener's, or one of the pool.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use deadpool::managed;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client, Connection};

use crate::connections::address::Address;
use crate::error::Failure;

/// A connection with the task that moves its bytes. Dropped, it is closed.
pub(crate) struct Link {
    pub(crate) client: Client,
    task: JoinHandle<()>,
}

impl Link {
    /// Connects to the first server of an address that is what it asks for, in the time that may take in
    /// all. `notified` is called with the text of
    /// every notification.
    pub(crate) async fn connect(
        address: &Address,
        notified: impl Fn(&str) + Clone + Send + 'static,
    ) -> Result<Self, Failure> {
        // Each has its part of the time: one that is silent leaves theirs to the others.
        let share = address.connect_timeout / u32::try_from(address.servers.len()).unwrap_or(u32::MAX).max(1);
        let mut failures = Vec::new();
        for server in &address.servers {
            match Self::connect_to(server, address, share, notified.clone()).await {
                Ok(link) => return Ok(link),
                Err(failure) => failures.push(failure),
            }
        }
        Err(of_all(failures))
    }

    /// Connects to one server.
    async fn connect_to(
        server: &tokio_postgres::Config,
        address: &Address,
        limit: Duration,
        notified: impl Fn(&str) + Send + 'static,
    ) -> Result<Self, Failure> {
        // Boxed: it is large, and part of many others.
        let connecting = Box::pin(async {
            let (client, connection) = server.connect(address.tls.clone()).await?;
            let link = Self { client, task: tokio::spawn(carry(connection, notified)) };
            address.target.check(&link.client).await?;
            Ok(link)
        });
        // The limit of the address is one of the socket alone: whoever answers there may be silent.
        let connected = tokio::time::timeout(limit, connecting).await.unwrap_or_else(|_| {
            Err(Failure::NoConnection(format!("no connection to PostgreSQL in {limit:?} (connect_timeout)")))
        });
        connected.map_err(Failure::of_connecting)
    }

    /// Ends when the connection has.
    pub(crate) async fn ended(&mut self) {
        // A panic of the task ends the connection just the same.
        (&mut self.task).await.ok();
    }
}

impl Deref for Link {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Link {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Moves the bytes of a connection until it ends.
async fn carry<S, T>(mut connection: Connection<S, T>, notified: impl Fn(&str))
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match std::future::poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(told))) => notified(told.payload()),
            Some(Ok(AsyncMessage::Notice(notice))) => {
                tracing::debug!(message = notice.message(), "PostgreSQL");
            }
            Some(Ok(_)) => {}
            // Whoever waits for an answer is told by the client.
            Some(Err(error)) => {
                tracing::debug!(%error, "a connection to PostgreSQL ended");
                return;
            }
            None => return,
        }
    }
}

/// What it comes to that none of the servers of an address can be had. They are told apart by their
/// places in the address: who hears of it may not know more of them.
fn of_all(mut failures: Vec<Failure>) -> Failure {
    if failures.len() == 1
        && let Some(only) = failures.pop()
    {
        return only;
    }
    let each = (1..).zip(&failures).map(|(place, failure)| format!("server {place}: {failure}"));
    let text = format!(
        "none of the {} servers can be used ({})",
        failures.len(),
        each.collect::<Vec<_>>().join("; ")
    );
    // One that only reads is the one to take once it is promoted; a login that is refused stays so.
    if failures.iter().any(Failure::is_of_a_reader) {
        return Failure::ReadsOnly(text);
    }
    if failures.iter().any(Failure::is_full) {
        return Failure::Full(text);
    }
    match failures.into_iter().find(|failure| matches!(failure, Failure::NotLetIn(_))) {
        Some(refused) => refused,
        None => Failure::NoConnection(text),
    }
}

/// Makes the connections of the pool.
pub(crate) struct Connector(pub(crate) Address);

impl managed::Manager for Connector {
    type Type = Link;
    type Error = Failure;

    async fn create(&self) -> Result<Link, Failure> {
        Link::connect(&self.0, |_| {}).await
    }

    async fn recycle(&self, link: &mut Link, _: &managed::Metrics) -> managed::RecycleResult<Failure> {
        if link.is_closed() { Err(managed::RecycleError::message("it is closed")) } else { Ok(()) }
    }
}
