// region: operation
//! Placing an order takes the items from the shelf and opens the order, in one commit.

use underlay::{Context, Error, Operation, Reads, Streams};

use crate::item::{Item, ItemEvent};
use crate::order::{Order, OrderEvent};

/// The body of the request.
#[underlay::value]
pub struct PlaceOrder {
    pub order: String,
    pub item: String,
    pub quantity: u32,
}

/// Why an order cannot be placed.
#[underlay::refusal]
pub enum PlaceOrderRefusal {
    #[refusal(code = "already-placed", message = "there is an order {order}")]
    AlreadyPlaced { order: String },
    #[refusal(code = "out-of-stock", message = "only {on_shelf} are on the shelf")]
    OutOfStock { on_shelf: u32 },
}

impl Operation for PlaceOrder {
    const NAME: &'static str = "place-order";
    type Refusal = PlaceOrderRefusal;

    fn reads(&self, reads: &mut Reads) -> Result<(), Error> {
        reads.stream::<Item>(&self.item)?;
        reads.stream::<Order>(&self.order)
    }

    fn decide(&self, streams: &mut Streams, _: &Context) -> Result<(), PlaceOrderRefusal> {
        let Self { order, item, quantity } = self.clone();
        if streams.state::<Order>(&order).placed {
            return Err(PlaceOrderRefusal::AlreadyPlaced { order });
        }
        let on_shelf = streams.state::<Item>(&item).on_shelf;
        if quantity > on_shelf {
            return Err(PlaceOrderRefusal::OutOfStock { on_shelf });
        }
        streams.append::<Item>(&item, ItemEvent::Taken { quantity });
        streams.append::<Order>(&order, OrderEvent::Placed { item: item.clone(), quantity });
        Ok(())
    }
}
// endregion: operation

// region: tests
#[cfg(test)]
mod tests {
    use underlay_testkit::given_streams;

    use super::*;
    use crate::item::received;

    #[test]
    fn an_order_takes_its_items_from_the_shelf() {
        let (order, item) = ("7".to_owned(), "apple".to_owned());
        given_streams()
            .stream::<Item>(&item, [received(5)])
            .when(&PlaceOrder { order: order.clone(), item: item.clone(), quantity: 3 })
            .then::<Item>(&item, [ItemEvent::Taken { quantity: 3 }])
            .then::<Order>(&order, [OrderEvent::Placed { item, quantity: 3 }])
            .then_nothing_else();
    }
}
// endregion: tests
