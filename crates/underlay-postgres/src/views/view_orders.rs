//! What persons order of views, and what has become of it.

use async_trait::async_trait;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};
use underlay_core::adapter::stored_number;
use underlay_core::{Json, StoredOrder, check_order_number, order_moved};

use crate::connections::session::{Parameter, Work};
use crate::error::Failure;
use crate::log::event_row;
use crate::views::catalogue::{lock_view, no_view};

/// Stores an order in place of the one with this number.
pub(crate) struct PutOrder<'a> {
    pub(crate) view: &'a str,
    pub(crate) known: u64,
    pub(crate) body: &'a Json,
}

#[async_trait]
impl Work for PutOrder<'_> {
    type Done = u64;

    async fn run(&self, client: &Client) -> Result<u64, Failure> {
        let Self { view, known, body } = *self;
        // Of two that know one number, the second waits here and then sees the next.
        lock_view(client, view).await?.ok_or_else(|| no_view(view))?;
        let (known, body) = (stored_number(known), body.as_str());
        let parameters: [Parameter<'_>; 3] = [(&view, Type::TEXT), (&known, Type::INT8), (&body, Type::TEXT)];
        let put = client.query_typed(include_str!("../sql/put_view_order.sql"), &parameters).await?;
        let row = put.first().ok_or_else(|| Failure::Answer(order_moved(view)))?;
        event_row::count(row, 0)
    }
}

/// Refuses to go on where the order has another number. Whoever asks has locked the view, as whoever stores an order does.
pub(crate) async fn check(client: &Client, view: &str, known: u64) -> Result<(), Failure> {
    let parameters: [Parameter<'_>; 1] = [(&view, Type::TEXT)];
    let rows = client.query_typed(include_str!("../sql/select_order_number.sql"), &parameters).await?;
    let stored = rows.first().map(|row| event_row::count(row, 0)).transpose()?;
    check_order_number(view, known, stored).map_err(Failure::Answer)
}

/// What was last ordered of a view, in two columns from here.
pub(crate) fn order(row: &Row, at: usize) -> Result<Option<StoredOrder>, Failure> {
    let Some(body) = row.try_get::<_, Option<String>>(at + 1)? else { return Ok(None) };
    Ok(Some(StoredOrder { number: event_row::count(row, at)?, body: Json::from_stored(body) }))
}
