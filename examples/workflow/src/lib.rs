//! A shop whose orders are followed by a workflow of its own on Temporal.
//!
//! The order is an aggregate as any other. A pump signals what happens to it to a workflow, which is written by hand with
//! Temporal's SDK. What the workflow decides comes back as a command, from an activity.

mod fulfilment;
mod order;
mod worker;

use underlay::{Error, Service};
use underlay_temporal::Temporal;

pub use fulfilment::{Carrier, Fulfilment, OrderId, Parcels, TASK_QUEUE, sink};
pub use order::{NotPaid, Order, OrderCommand, OrderEvent};
pub use worker::{Work, work};

// region: service
/// The service: a pump named `fulfilment` brings the log to the workflows.
///
/// # Errors
/// None, with these names.
pub fn service(temporal: &Temporal) -> Result<Service, Error> {
    Ok(Service::new("shop").aggregate::<Order>().pump("fulfilment", sink(temporal)?))
}
// endregion: service
