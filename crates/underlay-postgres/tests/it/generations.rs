//! Generations of views beside programs of an older version, and beside those who look at them.

use underlay_core::{Checkpoint, EventStore, ReadModels, Swap, Swept};

use crate::place::with_place;
use crate::sample::accounts;

#[test]
fn a_generation_that_an_older_program_began_or_swapped_in_keeps_no_rebuild_out() {
    with_place(async |place| {
        let store = place.open().await;
        let start = Checkpoint::start(store.store_id());
        store.prepare(&accounts(), start).await.unwrap();
        let admin = place.admin().await;
        // It counts from the highest there is, and notes nothing.
        let begins = "INSERT INTO underlay.view_generations SELECT name, 2, fingerprint, definition \
                      FROM underlay.view_generations WHERE name = 'accounts'; \
                      INSERT INTO underlay.view_checkpoints SELECT name, 2, 0, store_id, position, event_id \
                      FROM underlay.view_checkpoints WHERE name = 'accounts'; \
                      CREATE TABLE underlay_views.accounts_2 (x int)";
        admin.batch_execute(begins).await.unwrap();
        for expected in [3, 4] {
            let begun = store.begin_generation(&accounts(), start).await.unwrap();
            assert_eq!(begun.generation, expected);
        }
        let swaps = "UPDATE underlay.views SET generation = 4 WHERE name = 'accounts'; \
                     DELETE FROM underlay.view_generations WHERE name = 'accounts' AND generation = 1";
        admin.batch_execute(swaps).await.unwrap();
        assert_eq!(store.begin_generation(&accounts(), start).await.unwrap().generation, 5);
    });
}

#[test]
fn a_dump_of_one_generation_does_not_keep_the_others() {
    with_place(async |place| {
        let store = place.open().await;
        let start = Checkpoint::start(store.store_id());
        store.prepare(&accounts(), start).await.unwrap();
        for _ in 0..5 {
            let next = store.begin_generation(&accounts(), start).await.unwrap();
            assert!(store.activate(&next, Swap::default()).await.unwrap());
        }
        let dump = place.admin().await;
        dump.batch_execute("BEGIN; LOCK TABLE underlay_views.accounts_1 IN ACCESS SHARE MODE").await.unwrap();
        let mut swept = Vec::new();
        while swept.last() != Some(&Swept::Held) {
            swept.push(store.sweep().await.unwrap());
        }
        assert_eq!(swept, [Swept::Piece, Swept::Piece, Swept::Piece, Swept::Held], "all but the first");
        dump.batch_execute("COMMIT").await.unwrap();
        assert_eq!(store.sweep().await.unwrap(), Swept::Piece);
        assert_eq!(store.sweep().await.unwrap(), Swept::All);
    });
}
