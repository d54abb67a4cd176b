//! Holds whoever writes the log, as a slow writer in another process would.

use tokio_postgres::Client;

use crate::place::Place;

/// The lock of the log, held by a session of its own.
pub(crate) struct Gate {
    holder: Client,
    watcher: Client,
}

impl Gate {
    /// Takes the lock.
    pub(crate) async fn close(place: &Place) -> Self {
        let gate = Self { holder: place.admin().await, watcher: place.admin().await };
        gate.holder.batch_execute("BEGIN; SELECT FROM underlay.log_head FOR UPDATE").await.unwrap();
        gate
    }

    /// Waits until so many sessions of this database stand before it, and gives their ids.
    pub(crate) async fn reached(&self, sessions: usize) -> Vec<i32> {
        let waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
                       AND wait_event_type = 'Lock' ORDER BY pid";
        loop {
            let rows = self.watcher.query(waiting, &[]).await.unwrap();
            if rows.len() >= sessions {
                return rows.iter().map(|row| row.get(0)).collect();
            }
        }
    }

    /// Ends the sessions that stand before it.
    pub(crate) async fn kill_waiting(&self) {
        for session in self.reached(1).await {
            self.watcher.execute("SELECT pg_terminate_backend($1)", &[&session]).await.unwrap();
        }
    }

    /// Gives the lock back.
    pub(crate) async fn open(self) {
        self.holder.batch_execute("COMMIT").await.unwrap();
    }
}
