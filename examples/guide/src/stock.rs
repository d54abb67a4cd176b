//! The stock: for each item, how many are on the shelf and how many wait to be shipped.

use underlay::{Keys, Recorded, View};

use crate::item::ItemEvent;
use crate::order::OrderEvent;

/// The events it folds: those of two aggregates.
#[underlay::event]
pub enum StockEvent {
    #[event(flatten)]
    Item(ItemEvent),
    #[event(flatten)]
    Order(OrderEvent),
}

/// One row. Queries can filter and sort by the indexed columns.
#[underlay::row]
#[derive(Default)]
pub struct StockRow {
    #[column(indexed)]
    pub on_shelf: i64,
    pub to_ship: i64,
}

pub struct Stock;

impl View for Stock {
    const NAME: &'static str = "stock";
    type Event = StockEvent;
    type Key = String;
    type Row = StockRow;

    fn route(&self, event: &Recorded<StockEvent>, keys: &mut Keys<String>) {
        keys.push(match &event.event {
            StockEvent::Item(_) => event.stream().id().to_owned(),
            StockEvent::Order(OrderEvent::Placed { item, .. } | OrderEvent::Shipped { item, .. }) => {
                item.clone()
            }
        });
    }

    fn fold(&self, _: &String, row: Option<StockRow>, event: &Recorded<StockEvent>) -> Option<StockRow> {
        let mut row = row.unwrap_or_default();
        match &event.event {
            StockEvent::Item(ItemEvent::Received { quantity, .. }) => row.on_shelf += i64::from(*quantity),
            StockEvent::Item(ItemEvent::Taken { quantity }) => row.on_shelf -= i64::from(*quantity),
            StockEvent::Order(OrderEvent::Placed { quantity, .. }) => row.to_ship += i64::from(*quantity),
            StockEvent::Order(OrderEvent::Shipped { quantity, .. }) => row.to_ship -= i64::from(*quantity),
        }
        Some(row)
    }
}
