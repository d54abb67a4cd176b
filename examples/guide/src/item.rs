// region: item
//! Items on the shelf: received, and taken.

use underlay::{Aggregate, Context, Decision};

// region: shapes
/// What can happen to an item.
#[underlay::event]
pub enum ItemEvent {
    #[event(name = "received", version = 2, upcasts(received_v1))]
    Received { quantity: u32, supplier: String },
    #[event(name = "taken", version = 1)]
    Taken { quantity: u32 },
}

/// Version 1 of `received` did not say who supplied the item.
fn received_v1(mut payload: serde_json::Value) -> Result<serde_json::Value, String> {
    payload["supplier"] = "unknown".into();
    Ok(payload)
}

/// What can be asked of an item.
#[underlay::command]
pub enum ItemCommand {
    #[command(name = "receive")]
    Receive { quantity: u32, supplier: String },
    #[command(name = "take")]
    Take { quantity: u32 },
}
// endregion: shapes

/// Why an item says no.
#[underlay::refusal]
pub enum ItemRefusal {
    #[refusal(code = "out-of-stock", message = "only {on_shelf} are on the shelf")]
    OutOfStock { on_shelf: u32 },
}

/// One item: how many of it are on the shelf.
#[derive(Clone, Default)]
pub struct Item {
    pub on_shelf: u32,
}

impl Aggregate for Item {
    const CATEGORY: &'static str = "item";
    type Id = String;
    type Command = ItemCommand;
    type Event = ItemEvent;
    type Refusal = ItemRefusal;

    fn decide(&self, command: ItemCommand, _: &Context) -> Result<Decision<ItemEvent>, ItemRefusal> {
        match command {
            // region: receive
            ItemCommand::Receive { quantity, supplier } => {
                Ok(ItemEvent::Received { quantity, supplier }.into())
            }
            // endregion: receive
            ItemCommand::Take { quantity } if quantity > self.on_shelf => {
                Err(ItemRefusal::OutOfStock { on_shelf: self.on_shelf })
            }
            ItemCommand::Take { quantity } => Ok(ItemEvent::Taken { quantity }.into()),
        }
    }

    fn evolve(&mut self, event: &ItemEvent) {
        match event {
            ItemEvent::Received { quantity, .. } => self.on_shelf = self.on_shelf.saturating_add(*quantity),
            ItemEvent::Taken { quantity } => self.on_shelf = self.on_shelf.saturating_sub(*quantity),
        }
    }
}
// endregion: item

// region: tests
// region: received
#[cfg(test)]
pub fn received(quantity: u32) -> ItemEvent {
    ItemEvent::Received { quantity, supplier: "Orchard".to_owned() }
}
// endregion: received

#[cfg(test)]
mod tests {
    use underlay_testkit::given;

    use super::*;

    #[test]
    fn what_is_on_the_shelf_can_be_taken() {
        given::<Item>([received(5)])
            .when(ItemCommand::Take { quantity: 2 })
            .then([ItemEvent::Taken { quantity: 2 }]);
    }

    #[test]
    fn no_more_can_be_taken_than_is_on_the_shelf() {
        given::<Item>([received(5), ItemEvent::Taken { quantity: 4 }])
            .when(ItemCommand::Take { quantity: 2 })
            .then_refused("out-of-stock");
    }
}
// endregion: tests
