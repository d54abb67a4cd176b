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
    /// Connects. `notified` is called at every notification.
    pub(crate) async fn connect(
        address: &Address,
        mut notified: impl FnMut() + Send + 'static,
    ) -> Result<Self, Failure> {
        let (client, mut connection) = address.server.connect(address.tls.clone()).await?;
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
