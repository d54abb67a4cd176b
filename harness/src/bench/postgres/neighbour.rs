//! A small tenant beside another whose queries look at all it has.

use crate::Result;
use crate::bench::figure::Figure;
use crate::bench::{Scale, neighbour};
use crate::database::{Hearing, Server};

pub(super) async fn measure(scale: &Scale) -> Result<Vec<Figure>> {
    let server = Server::start()?;
    let database = server.create().await?;
    let store = database.address(Hearing::Listens).open().await?;
    let figures = neighbour::figures(store.ports(), scale).await?;
    store.close().await?;
    Ok(figures)
}
