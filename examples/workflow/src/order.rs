use underlay::{Aggregate, Context, Decision};

/// What happens to an order.
#[underlay::event]
pub enum OrderEvent {
    /// Somebody wants something.
    #[event(name = "placed", version = 1)]
    Placed {
        /// What it is.
        item: String,
    },
    /// The money is there.
    #[event(name = "paid", version = 1)]
    Paid,
    /// A parcel leaves the house.
    #[event(name = "shipped", version = 1)]
    Shipped,
}

/// What is asked of an order.
#[underlay::command]
pub enum OrderCommand {
    /// Places it.
    #[command(name = "place")]
    Place {
        /// What is wanted.
        item: String,
    },
    /// Takes the payment down.
    #[command(name = "pay")]
    Pay,
    /// Sends a parcel. Each time it is asked for, another one leaves the house.
    #[command(name = "ship")]
    Ship,
}

/// It cannot be sent.
#[underlay::refusal(code = "not_paid", message = "the order is not paid")]
pub struct NotPaid;

/// An order of a customer.
#[derive(Clone, Default)]
pub struct Order {
    is_paid: bool,
}

impl Aggregate for Order {
    const CATEGORY: &'static str = "order";
    type Id = String;
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Refusal = NotPaid;

    fn decide(&self, command: OrderCommand, _: &Context) -> Result<Decision<OrderEvent>, NotPaid> {
        match command {
            OrderCommand::Place { item } => Ok(OrderEvent::Placed { item }.into()),
            OrderCommand::Pay => Ok(OrderEvent::Paid.into()),
            OrderCommand::Ship if self.is_paid => Ok(OrderEvent::Shipped.into()),
            OrderCommand::Ship => Err(NotPaid),
        }
    }

    fn evolve(&mut self, event: &OrderEvent) {
        if matches!(event, OrderEvent::Paid) {
            self.is_paid = true;
        }
    }
}
