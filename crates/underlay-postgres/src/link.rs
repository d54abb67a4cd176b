//! A connection of one task's own, outside the pool: the committer's, the listener's, a migration's.

use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client};

use crate::address::Address;
use crate::error::Failure;

/// A connection with the task that moves its bytes. Dropped, it is closed.
pub(crate) struct Link {
    pub(crate) client: Client,
    task: JoinHandle<()>,
}

impl Link {
    /// Connects, in the time that may take. `notified` is called at every notification.
    pub(crate) async fn connect(
        address: &Address,
        mut notified: impl FnMut() + Send + 'static,
    ) -> Result<Self, Failure> {
        // The limit of the address is one of the socket alone: whoever answers there may be silent.
        let connecting =
            tokio::time::timeout(address.connect_timeout, address.server.connect(address.tls.clone()));
        let (client, mut connection) = connecting.await.map_err(|_| {
            let limit = address.connect_timeout;
            Failure::NoConnection(format!("no connection to PostgreSQL in {limit:?} (connect_timeout)"))
        })??;
        let task = tokio::spawn(async move {
            loop {
                match std::future::poll_fn(|context| connection.poll_message(context)).await {
                    Some(Ok(AsyncMessage::Notification(_))) => notified(),
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
        });
        Ok(Self { client, task })
    }

    /// Ends when the connection has.
    pub(crate) async fn ended(&mut self) {
        // A panic of the task ends the connection just the same.
        (&mut self.task).await.ok();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}
