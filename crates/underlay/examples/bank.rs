//! A whole service: one aggregate, one view, tenants, the HTTP API and the command line.

use underlay::{Aggregate, Context, Decision, Exit, Keys, Recorded, Service, View};

#[underlay::event]
enum Change {
    #[event(name = "moved", version = 1)]
    Moved { cents: i64 },
}

#[underlay::command]
enum Order {
    #[command(name = "move")]
    Move { cents: i64 },
}

#[underlay::refusal(code = "overdrawn", message = "there is not so much")]
struct Overdrawn;

#[derive(Clone, Default)]
struct Account(i64);

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Id = String;
    type Command = Order;
    type Event = Change;
    type Refusal = Overdrawn;

    fn decide(&self, Order::Move { cents }: Order, _: &Context) -> Result<Decision<Change>, Overdrawn> {
        (self.0 + cents >= 0).then(|| Change::Moved { cents }.into()).ok_or(Overdrawn)
    }

    fn evolve(&mut self, Change::Moved { cents }: &Change) {
        self.0 += cents;
    }
}

#[underlay::row]
struct Balance {
    cents: i64,
}

struct Balances;

impl View for Balances {
    const NAME: &'static str = "balances";
    type Event = Change;
    type Key = String;
    type Row = Balance;

    fn route(&self, event: &Recorded<Change>, keys: &mut Keys<String>) {
        keys.push(event.stream().id().to_owned());
    }

    fn fold(&self, _: &String, row: Option<Balance>, event: &Recorded<Change>) -> Option<Balance> {
        let Change::Moved { cents } = event.event;
        Some(Balance { cents: row.map_or(0, |row| row.cents) + cents })
    }
}

fn main() -> Exit {
    Service::new("bank").aggregate::<Account>().view(Balances).main()
}
