//! Databases of a test's own on a PostgreSQL server, with a login that may use the store and nothing
//! else.
//!
//! The server is the one that the environment names, or a private one. Roles belong to the whole server,
//! so tests share theirs, and whoever migrates a database holds a [`Turn`] meanwhile. What is in a
//! database is not known here: its owner migrates it with the product.

mod database;
mod server;

pub use self::database::{Database, LOGIN, ROLE_PREFIX, Turn};
pub use self::server::Server;

use tokio_postgres::{Client, Config, NoTls};

use crate::Result;

/// Connects without encryption, and moves the bytes until the client is dropped.
///
/// # Errors
/// Where the address is none, or nobody lets us in there.
pub async fn connect(address: &str) -> Result<Client> {
    let config: Config = address.parse()?;
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move {
        // How it ends shows in the answers.
        connection.await.ok();
    });
    Ok(client)
}

/// Runs statements, each by itself, as the administrator of a server, where a test ends: whoever calls
/// is being dropped, and may be in a runtime.
pub fn tidy_up(server: &str, statements: Vec<String>) {
    let server = server.to_owned();
    // A thread of its own, since this one may be in a runtime.
    let tidying = std::thread::spawn(move || -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let admin = connect(&server).await?;
            for statement in statements {
                admin.batch_execute(&statement).await?;
            }
            Ok(())
        })
    });
    // What stays behind is no failure of a test, and changes nothing that was found.
    tidying.join().ok();
}
