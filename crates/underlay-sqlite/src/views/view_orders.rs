//! What persons order of views, and what has become of it.

use rusqlite::{Connection, params};
use underlay_core::adapter::stored_number;
use underlay_core::{Json, check_order_number, order_moved};

use crate::error::Failure;
use crate::log::event_row;
use crate::views::catalogue;

/// Stores an order in place of the one with this number; the number it has.
pub(crate) fn put(connection: &Connection, view: &str, known: u64, body: &Json) -> Result<u64, Failure> {
    catalogue::check_view(connection, view)?;
    let mut put = connection.prepare_cached(include_str!("../sql/put_view_order.sql"))?;
    if put.execute(params![view, stored_number(known), body.as_str()])? == 0 {
        return Err(Failure::Answer(order_moved(view)));
    }
    Ok(known + 1)
}

/// Refuses to go on where the order has another number.
pub(crate) fn check(connection: &Connection, view: &str, known: u64) -> Result<(), Failure> {
    let mut select = connection.prepare_cached(include_str!("../sql/select_order_number.sql"))?;
    let mut rows = select.query([view])?;
    let number = |row| event_row::count(row, 0, format_args!("the order for view {view}"));
    let stored = rows.next()?.map(number).transpose()?;
    check_order_number(view, known, stored).map_err(Failure::Answer)
}
