use std::sync::Arc;

use serde_json::json;

use super::Place;
use crate::feeds::{Whereabouts, follow};
use crate::http::{Client, eur};
use crate::program::Ledger;

#[test]
fn clients_are_given_what_another_process_writes_and_go_on_there() {
    const DEPOSITS: u64 = 15;
    let Some(place) = Place::new() else { return };
    let ledger = Ledger::at(place.address());
    let (first, first_address) = ledger.serve();
    let (_second, second_address) = ledger.serve();
    let whereabouts = Arc::<Whereabouts>::default();
    whereabouts.tell(&first_address);
    let last = 1 + 2 * DEPOSITS;
    let clients: Vec<_> = (0..8).map(|_| follow(whereabouts.clone(), last)).collect();
    let client = Client::new(second_address.clone());
    assert_eq!(client.post("account/Cash/open", &[], &json!({})).0, 200);
    for _ in 0..DEPOSITS {
        assert_eq!(client.post("account/Cash/deposit", &[], &eur("1")).0, 200);
    }
    // Killed, with its clients.
    drop(first);
    whereabouts.tell(&second_address);
    for _ in 0..DEPOSITS {
        assert_eq!(client.post("account/Cash/deposit", &[], &eur("1")).0, 200);
    }
    for client in clients {
        assert_eq!(client.join().unwrap(), (1..=last).collect::<Vec<_>>());
    }
}
