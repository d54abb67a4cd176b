//! Who has work done, as a program of one's own chooses it.

use underlay::{Service, Store};

fn open(address: &str) -> Result<underlay::Engine, underlay::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = runtime.block_on(Store::open("memory:")).unwrap();
    Service::new("bank").scheduler(address).open(&store)
}

#[test]
fn a_service_drives_its_work_itself_where_nothing_else_is_said() {
    open("embedded").unwrap();
    let told = open("somebody").unwrap_err().to_string();
    assert!(told.contains("\"somebody\" is no scheduler"), "{told}");
}

#[cfg(not(feature = "temporal"))]
#[test]
fn without_the_feature_a_scheduler_says_so() {
    let told = open("temporal://me:hunter2@127.0.0.1:7233/default").unwrap_err().to_string();
    assert!(told.contains("cargo build --features temporal") && !told.contains("hunter2"), "{told}");
}

#[cfg(feature = "temporal")]
#[test]
fn opening_a_scheduler_asks_nobody() {
    open("temporal://127.0.0.1:1/default").unwrap();
}
