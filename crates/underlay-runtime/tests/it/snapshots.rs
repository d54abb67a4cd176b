use underlay_core::memory::{MemoryEventStore, MemorySnapshots};
use underlay_core::{EventStore, Fingerprint, Json, Snapshot, SnapshotState, Snapshots, Version};

use crate::bank::{Account, AccountCommand, Bank, registry, request, stream, tenant};

fn bank() -> Bank {
    let bank = Bank::new();
    Bank::over(bank.store, bank.read_models, bank.snapshots, registry().snapshots::<Account>())
}

/// Waits until a snapshot at `version` is there: it is stored beside the command.
async fn stored(bank: &Bank, version: u64) -> Snapshot {
    loop {
        if let Some(found) = bank.snapshots.load_snapshot(&tenant(), &stream("a")).await.unwrap()
            && found.version == Version(version)
        {
            return found;
        }
        tokio::task::yield_now().await;
    }
}

/// What a process without a cache finds the balance to be.
async fn balance(bank: &Bank) -> String {
    let fresh = Bank::over(
        bank.store.clone(),
        bank.read_models.clone(),
        bank.snapshots.clone(),
        registry().snapshots::<Account>(),
    );
    let command = AccountCommand::Withdraw { cents: i64::MAX };
    fresh.engine.execute::<Account>(&request(), &"a".to_owned(), command).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_snapshot_is_taken_every_so_many_events_and_used() {
    let bank = bank();
    for _ in 0..25 {
        bank.deposit("a", 1).await;
    }
    let snapshot = stored(&bank, 20).await;
    assert_eq!(snapshot.state.as_str(), r#"{"balance":20}"#);
    // A state that could not come from the events shows that it is read.
    let forged = Snapshot { state: Json::from_stored(r#"{"balance":1020}"#), ..snapshot };
    bank.snapshots.remove_snapshot(&tenant(), &stream("a")).await.unwrap();
    bank.snapshots.store_snapshot(&tenant(), &stream("a"), forged).await.unwrap();
    assert!(balance(&bank).await.contains("balance is 1025"));
}

#[tokio::test]
async fn a_snapshot_of_no_use_is_passed_over_and_replaced() {
    let bank = bank();
    for _ in 0..25 {
        bank.deposit("a", 1).await;
    }
    let good = stored(&bank, 20).await;
    let other_history = {
        let other = MemoryEventStore::default();
        let copy = Bank::over(other, bank.read_models.clone(), MemorySnapshots::default(), registry());
        for _ in 0..25 {
            copy.deposit("a", 100).await;
        }
        copy.store.event_id_at(underlay_core::Position::from_number(20)).await.unwrap().unwrap()
    };
    let bad = [
        Snapshot { fingerprint: Fingerprint([0; 16]), ..good.clone() },
        Snapshot { state: Json::from_stored("{\"balance\":"), ..good.clone() },
        Snapshot { version: Version(9_999), ..good.clone() },
        Snapshot { version: Version(0), ..good.clone() },
        Snapshot { event_id: other_history, ..good.clone() },
    ];
    for snapshot in bad {
        bank.snapshots.remove_snapshot(&tenant(), &stream("a")).await.unwrap();
        bank.snapshots.store_snapshot(&tenant(), &stream("a"), snapshot.clone()).await.unwrap();
        assert!(balance(&bank).await.contains("balance is 25"), "{snapshot:?} was believed");
        // Loading the whole stream stored a good one in its place.
        let replaced = stored(&bank, 25).await;
        assert_eq!(replaced.fingerprint, Account::fingerprint());
        assert_eq!(replaced.state.as_str(), r#"{"balance":25}"#);
    }
}
