//! Stores that break a sentence each, in a way stores have been broken: the case of that sentence
//! must fail. Without a mutation the same decorator passes, so it is the mutation that is caught.

mod archive;
mod cache;
mod checkpoints;
mod entities;
mod event_bus;
mod event_store;
mod leases;
mod mail;
mod read_models;
mod scheduler;
mod schedules;
mod snapshots;
mod work_queue;

use std::time::Duration;

/// Runs a case that must fail, and does not take a case that hangs for one that fails.
async fn assert_caught(name: &str, mutation: &str, case: impl Future<Output = ()> + Send + 'static) {
    match tokio::time::timeout(Duration::from_secs(60), tokio::spawn(case)).await {
        Ok(Ok(())) => panic!("{name} passes on a store that breaks its sentence: {mutation}"),
        Ok(Err(failure)) => assert!(failure.is_panic(), "{name} fails by an assertion"),
        Err(_) => panic!("{name} hangs on a store that breaks its sentence: {mutation}"),
    }
}

/// One test per mutation: the case it breaks fails. `CAUGHT` names the cases.
macro_rules! caught {
    ($port:ident; $($test:ident: $case:ident fails on $mutation:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $test() {
                let broken = Mutant::with(Mutation::$mutation);
                let case = underlay_testkit::$port::$case(broken);
                crate::mutants::assert_caught(stringify!($case), stringify!($mutation), case).await;
            }
        )*

        const CAUGHT: &[&str] = &[$(stringify!($case)),*];

        #[test]
        fn every_case_has_failed_once() {
            for case in underlay_testkit::$port::CASES {
                assert!(CAUGHT.contains(&case.name), "no broken store shows that {} can fail", case.name);
            }
        }
    };
}
use caught;
