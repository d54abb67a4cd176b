use crate::words::limits::VIEW_ORDER_BYTES_MAX;
use crate::words::{Error, Json};

/// What was last ordered of a view, and what has become of it, as a store holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOrder {
    /// Its number, from 1: whoever stores what becomes of it names the number they know, and gives it the next.
    pub number: u64,
    /// What the engine says of it; no store reads it.
    pub body: Json,
}

/// Checks the body of an order. Adapters call it first.
///
/// # Errors
/// [`Error::Invalid`] that names the limit.
pub fn check_order(body: &Json) -> Result<(), Error> {
    if body.bytes() > VIEW_ORDER_BYTES_MAX {
        return Err(Error::invalid(format!(
            "what is stored of an order has at most VIEW_ORDER_BYTES_MAX = {VIEW_ORDER_BYTES_MAX} bytes, this has {}",
            body.bytes()
        )));
    }
    Ok(())
}

/// Refuses what is bound to the number of an order, where the one that is stored has another. Adapters call it in the
/// transaction of the change.
///
/// # Errors
/// [`Error::CheckpointMoved`].
pub fn check_order_number(view: &str, known: u64, stored: Option<u64>) -> Result<(), Error> {
    if stored.unwrap_or(0) == known { Ok(()) } else { Err(order_moved(view)) }
}

/// That the order of a view has another number than is known.
#[must_use]
pub fn order_moved(view: &str) -> Error {
    Error::CheckpointMoved { owner: format!("the order for view {view}") }
}
