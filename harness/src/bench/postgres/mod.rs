//! The benchmarks of the PostgreSQL store, on servers of this run's own, with every promise on: outcomes,
//! all indexes, row-level security, a flush for every commit.

mod commits;
mod log_head;
mod neighbour;
mod plain_inserts;
mod reads;
mod stream_heads;

use crate::Result;

use super::Scale;
use super::figure::Figure;

pub(super) const PARTS: &[&str] = &["commits", "catch-up", "view", "neighbour", "log-head", "stream-heads"];

pub(super) async fn measure(part: &str, scale: &Scale) -> Result<Vec<Figure>> {
    match part {
        "commits" => commits::measure(scale).await,
        "catch-up" => reads::measure_catch_up(scale).await,
        "view" => reads::measure_view(scale).await,
        "neighbour" => neighbour::measure(scale).await,
        "log-head" => log_head::measure(scale).await,
        _ => stream_heads::measure(scale).await,
    }
}
