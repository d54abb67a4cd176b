//! A small tenant beside another whose queries look at all it has.

use crate::Result;
use crate::bench::figure::Figure;
use crate::bench::{Scale, neighbour};
use crate::subject::{Place, Postgres, Way};

pub(super) async fn measure(scale: &Scale) -> Result<Vec<Figure>> {
    let subject = Postgres::start()?;
    let place = subject.new_place().await?;
    let store = place.address(Way::USUAL).open().await?;
    let figures = neighbour::figures(store.ports(), scale).await?;
    store.close().await?;
    Ok(figures)
}
