use crate::entities::{entities_are_kept_found_and_changed_with_events, entities_over_http};
use crate::postgres::Place;
use crate::program::Ledger;

#[tokio::test]
async fn entities_are_kept_in_a_database() {
    let Some(place) = tokio::task::spawn_blocking(Place::new).await.unwrap() else { return };
    entities_are_kept_found_and_changed_with_events(&place.address()).await;
    tokio::task::spawn_blocking(|| drop(place)).await.unwrap();
}

#[test]
fn entities_are_served_from_a_database() {
    let Some(place) = Place::new() else { return };
    entities_over_http(&Ledger::at(place.address()), &[], true);
}

#[test]
fn entities_are_in_a_database_and_the_log_in_a_file() {
    let Some(place) = Place::new() else { return };
    entities_over_http(&Ledger::new(), &["--entities-store", &place.address()], true);
}
