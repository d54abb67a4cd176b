//! A warehouse: items are received and taken.

mod item;

use underlay::{Exit, Service};

use crate::item::Item;

fn main() -> Exit {
    Service::new("warehouse").aggregate::<Item>().main()
}
