//! The adapter as a row of a table: its addresses, its options, what it opens.

use underlay_core::Error;
use underlay_core::adapter::{Adapter, OptionValues};
use underlay_mongodb::{MongoAdapter, MongoConfig};

use crate::place::with_place;

#[test]
fn a_backend_has_entities_and_rows_and_no_log() {
    with_place(async |place| {
        let adapter = MongoAdapter::default();
        let none = OptionValues::new();
        let nothing = adapter.open_existing(&place.address(), &none).await.unwrap_err();
        assert!(matches!(nothing, Error::NotFound(_)), "{nothing:?}");
        let backend = adapter.open(&place.address(), &none).await.unwrap();
        assert!(backend.entities.is_some() && backend.read_models.is_some() && backend.leases.is_some());
        assert!(backend.store.is_none());
        backend.entities.as_ref().unwrap().prepare(&crate::sample::accounts()).await.unwrap();
        adapter.open_existing(&place.address(), &none).await.unwrap().close().await.unwrap();
        backend.close().await.unwrap();
        let closed =
            backend.entities.as_ref().unwrap().prepare(&crate::sample::accounts()).await.unwrap_err();
        assert!(matches!(closed, Error::Unavailable { .. }), "{closed:?}");
    });
}

#[test]
fn an_address_that_does_not_fit_is_told_without_its_password() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for (address, part) in [
            ("mongodb://me:hunter2@127.0.0.1:1", "names no database"),
            ("mongodb://me:hunter2@127.0.0.1:nowhere/d", "MongoDB"),
            ("mongodb+srv://me:hunter2@example.org/d", "mongodb+srv"),
            ("mongodb://me:hunter2@127.0.0.1:1/d?underlay_connections_max=0", "underlay_connections_max"),
        ] {
            let adapter = MongoAdapter::new(MongoConfig::default());
            let failed = adapter.open(address, &OptionValues::new()).await.unwrap_err();
            assert!(matches!(failed, Error::Invalid(_)), "{address}: {failed:?}");
            let told = failed.to_string();
            assert!(told.contains(part) && !told.contains("hunter2"), "{told}");
        }
    });
    assert_eq!(MongoAdapter::default().shown("mongodb://me:hunter2@h/d?x=y"), "mongodb://me:***@h/d?x=y");
}
