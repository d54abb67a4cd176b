//! What tests of Underlay are made of.
//!
//! - **Conformance suites**: [`conformance!`] turns the contract of a port into one test per sentence,
//!   run on the adapter a [`Fixture`] opens. [`event_store`], [`read_models`], [`entities`], [`snapshots`],
//!   [`leases`], [`archive`], [`retention`], [`work_queue`], [`schedules`], [`scheduler`], [`checkpoints`], [`cache`] and [`mail`]
//!   hold the cases.
//! - **The model** (feature `model`): random operations on a store, compared with plain collections.
//! - **Fixtures**: [`MemoryFixture`] and [`TimedMemoryFixture`] for the adapters in memory; a store of your own
//!   brings its own.
//! - **Faults**: [`Flaky`] makes chosen calls of a store fail as a network makes them fail, before their effect
//!   or after it.
//! - **Layers**: [`Over`] delegates every call to the store below, but for those a layer answers itself.
//! - **Scenarios**: [`given`] and [`given_streams`] test decisions without a store, [`given_process`] the steps of a
//!   process.
//! - **Troubles**: [`FailsOnce`] makes every step, handler, commit and settlement fail once at each point.
//! - **Samples**: [`sample`] has short ways to build events and commits.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a broken expectation is the failure of a test, and a panic is how a test fails"
)]

pub mod archive;
pub mod cache;
mod case;
pub mod checkpoints;
mod concurrent;
mod dice;
pub mod entities;
pub mod event_bus;
pub mod event_store;
mod fails_once;
mod fixture;
mod flaky;
pub mod leases;
pub mod mail;
mod memory;
#[cfg(feature = "model")]
pub mod model;
mod naive;
mod over;
mod process_scenario;
pub mod read_models;
pub mod retention;
mod rows_first;
pub mod sample;
mod scenario;
pub mod scheduler;
pub mod schedules;
pub mod snapshots;
pub mod work_queue;

pub use case::Case;
pub use fails_once::{FailsOnce, Troubles};
pub use fixture::{
    ArchiveFixture, ArrivedMail, CacheFixture, CheckpointsFixture, Damage, EntitiesFixture, EventBusFixture,
    EventStoreFixture, Fixture, LeasesFixture, MailAnswer, MailFixture, ReadModelsFixture, RetentionFixture,
    SchedulerFixture, SchedulesFixture, ServingProcess, Skip, SnapshotsFixture, WorkQueueFixture,
};
pub use flaky::{Flaky, ScriptedCall, Stored};
pub use memory::{
    MemoryCacheFixture, MemoryFixture, MemoryMailFixture, MemorySchedulerFixture, TimedMemoryFixture,
};
pub use over::{
    Call, CheckpointsCall, CheckpointsLayer, EntitiesCall, EntitiesLayer, EventStoreLayer, Over,
    ReadModelsLayer, RowsCall, SchedulesCall, SchedulesLayer, WorkCall, WorkQueueLayer,
};
pub use process_scenario::{GivenInput, GivenProcess, StepVerdict, given_process};
pub use rows_first::RowsFirst;
pub use scenario::{Given, GivenStreams, StreamVerdict, Verdict, given, given_streams};

/// What generated tests need, under one name. Not part of the public promise.
#[doc(hidden)]
pub mod private {
    pub use crate::case::prove;
}

/// Turns the contract of a port into tests: one `#[test]` per sentence, named after its case.
///
/// The first argument names the port: `event_store`, `read_models`, `entities`, `snapshots`, `leases`, `archive`,
/// `retention`, `work_queue`, `schedules`, `scheduler`, `checkpoints`, `cache`, `event_bus` or `mail`. The second is the [`Fixture`] that
/// opens the adapter. A module of its own keeps the tests of
/// several fixtures apart.
///
/// ```
/// use std::sync::Arc;
///
/// use underlay_core::EventStore;
/// use underlay_core::memory::MemoryEventStore;
/// use underlay_testkit::{EventStoreFixture, Fixture, Skip};
///
/// struct MyStore(MemoryEventStore);
///
/// impl Fixture for MyStore {
///     async fn create() -> Result<Self, Skip> {
///         Ok(Self(MemoryEventStore::default()))
///     }
///
///     async fn reopen(self) -> Self {
///         self
///     }
/// }
///
/// impl EventStoreFixture for MyStore {
///     fn event_store(&self) -> Arc<dyn EventStore> {
///         Arc::new(self.0.clone())
///     }
/// }
///
/// underlay_testkit::conformance!(event_store, MyStore);
/// ```
#[macro_export]
macro_rules! conformance {
    (event_store, $fixture:ty) => {
        $crate::event_store_cases! { conformance_tests [$fixture] }
    };
    (read_models, $fixture:ty) => {
        $crate::read_models_cases! { conformance_tests [$fixture] }
    };
    (entities, $fixture:ty) => {
        $crate::entities_cases! { conformance_tests [$fixture] }
    };
    (snapshots, $fixture:ty) => {
        $crate::snapshots_cases! { conformance_tests [$fixture] }
    };
    (archive, $fixture:ty) => {
        $crate::archive_cases! { conformance_tests [$fixture] }
    };
    (leases, $fixture:ty) => {
        $crate::leases_cases! { conformance_tests [$fixture] }
    };
    (retention, $fixture:ty) => {
        $crate::retention_cases! { conformance_tests [$fixture] }
    };
    (mail, $fixture:ty) => {
        $crate::mail_cases! { conformance_tests [$fixture] }
    };
    (event_bus, $fixture:ty) => {
        $crate::event_bus_cases! { conformance_tests [$fixture] }
    };
    (work_queue, $fixture:ty) => {
        $crate::work_queue_cases! { conformance_tests [$fixture] }
    };
    (scheduler, $fixture:ty) => {
        $crate::scheduler_cases! { conformance_tests [$fixture] }
    };
    (schedules, $fixture:ty) => {
        $crate::schedules_cases! { conformance_tests [$fixture] }
    };
    (cache, $fixture:ty) => {
        $crate::cache_cases! { conformance_tests [$fixture] }
    };
    (checkpoints, $fixture:ty) => {
        $crate::checkpoints_cases! { conformance_tests [$fixture] }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ($port:ident [$fixture:ty]; $($number:literal $case:ident $sentence:literal)*) => {$(
        #[test]
        fn $case() {
            let case = $crate::Case {
                port: stringify!($port),
                number: $number,
                name: stringify!($case),
                sentence: $sentence,
            };
            $crate::private::prove(case, $crate::$port::$case::<$fixture>);
        }
    )*};
}

#[doc(hidden)]
#[macro_export]
macro_rules! conformance_list {
    ($port:ident; $($number:literal $case:ident $sentence:literal)*) => {
        &[$($crate::Case {
            port: stringify!($port),
            number: $number,
            name: stringify!($case),
            sentence: $sentence,
        }),*]
    };
}
