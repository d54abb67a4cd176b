//! The ports. The documentation of each is its contract: numbered sentences, each naming the
//! conformance case that attacks it.

mod archive;
mod cache;
mod checkpoints;
mod clock;
mod entities;
mod event_bus;
mod event_store;
mod health;
mod leases;
mod mail;
mod read_models;
mod scheduler;
mod schedules;
mod sink;
mod snapshots;
mod spans;
mod view_batch;
mod view_order;
mod view_stop;
mod wakeups;
mod work_queue;

pub use archive::{Archive, ArchivePage, ArchivedCommit, Imported, Retention};
pub use cache::{
    Cache, CacheEntry, CacheExt, CachedValue, cache_pattern_matches, check_cache_entries, check_cache_keys,
    check_cache_pattern, check_cache_tag,
};
pub use checkpoints::{Checkpoints, StoredCheckpoint, check_checkpoint_name};
pub use clock::{Clock, ManualClock, SystemClock};
pub use entities::{Atomicity, Entities, check_entity_ids, entity_not_prepared};
pub use event_bus::{
    BusDeadLetter, BusSubscription, EventBus, EventBusExt, Subscriber, SubscriberId, SubscriberStanding,
    TenantLag, WhenFull,
};
pub use event_store::{
    CommitStatus, EventStore, EventStoreExt, LogFilter, LogPage, LogScope, RecordedCommit, StreamList,
    StreamPage, Underway, check_page_limit, check_streams_limit,
};
pub use health::Health;
pub use leases::{Lease, LeaseId, LeaseTerm, Leases, check_lease};
pub use mail::{Email, Mail, MailError, Mailbox, check_mail_key};
pub use read_models::{
    Generation, LoadedRow, ReadModels, ScannedRows, Swap, Swept, ViewInfo, ViewTable, check_scan_limit,
    no_generation, none_replaced, still_read,
};
pub use scheduler::{Job, JobAttempt, JobEnd, JobRunner, JobTask, Scheduler, check_scheduler};
pub use schedules::{
    Schedule, Schedules, check_schedule_definition, check_schedule_limit, check_schedule_name,
};
pub use sink::Sink;
pub use snapshots::{Snapshot, Snapshots};
pub use spans::{Span, SpanKind, SpanValue, Spans};
pub use view_batch::{ParkedEvent, RowAddress, RowChange, ViewBatch};
pub use view_order::{StoredOrder, check_order, check_order_number, order_moved};
pub use view_stop::{SkipOrder, SkippedEvent, StopCause, ViewStop};
pub(crate) use wakeups::WorkHints;
pub use wakeups::{Wakeup, Wakeups, WorkWakeup};
pub use work_queue::{
    BegunWork, DueLook, DuePage, DuePlace, HeldShard, LaneCursors, QueueDepth, ReadWork, Settled, Settlement,
    ShardTerm, Share, WaitsFor, WorkFilter, WorkInfo, WorkList, WorkPage, WorkQueue, WorkScope, WorkStanding,
    Worker, WorkerId, check_due_look, check_settlements, check_work_count, check_work_filter,
    check_work_limit, check_work_scope, check_worker, kept_work_error,
};
