//! Orders of customers: placed, then shipped.

use underlay::{Aggregate, Context, Decision};

/// What can happen to an order.
#[underlay::event]
pub enum OrderEvent {
    #[event(name = "order-placed", version = 1)]
    Placed { item: String, quantity: u32 },
    #[event(name = "order-shipped", version = 1)]
    Shipped { item: String, quantity: u32 },
}

/// What can be asked of an order. Placing one is an operation, since it takes items too.
#[underlay::command]
pub enum OrderCommand {
    #[command(name = "ship")]
    Ship,
}

/// Why an order says no.
#[underlay::refusal]
pub enum OrderRefusal {
    #[refusal(code = "nothing-to-ship", message = "the order was never placed, or is shipped already")]
    NothingToShip,
}

/// One order: what is still to be shipped, and whether it was placed at all.
#[derive(Clone, Default)]
pub struct Order {
    pub placed: bool,
    to_ship: Option<(String, u32)>,
}

impl Aggregate for Order {
    const CATEGORY: &'static str = "order";
    type Id = String;
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Refusal = OrderRefusal;

    fn decide(
        &self,
        OrderCommand::Ship: OrderCommand,
        _: &Context,
    ) -> Result<Decision<OrderEvent>, OrderRefusal> {
        let (item, quantity) = self.to_ship.clone().ok_or(OrderRefusal::NothingToShip)?;
        Ok(OrderEvent::Shipped { item, quantity }.into())
    }

    fn evolve(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::Placed { item, quantity } => {
                self.placed = true;
                self.to_ship = Some((item.clone(), *quantity));
            }
            OrderEvent::Shipped { .. } => self.to_ship = None,
        }
    }
}
