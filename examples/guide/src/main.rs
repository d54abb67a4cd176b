// region: program
//! A warehouse: items are received and taken, orders are placed and shipped.

mod item;
mod order;
mod place_order;
mod stock;

use underlay::{Exit, Service};

use crate::item::Item;
use crate::order::Order;
use crate::place_order::PlaceOrder;
use crate::stock::Stock;

fn service() -> Service {
    Service::new("warehouse").aggregate::<Item>().aggregate::<Order>().operation::<PlaceOrder>().view(Stock)
}

fn main() -> Exit {
    service().main()
}
// endregion: program

// region: lock
#[cfg(test)]
mod tests {
    use underlay::events_lock::{LockCheck, check_events_lock};

    #[test]
    fn events_are_as_they_were_released() {
        let locked = include_str!("../events.lock");
        assert_eq!(check_events_lock(super::service().registry(), locked), Ok(LockCheck::Fits));
    }
}
// endregion: lock
