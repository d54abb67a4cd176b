//! The engine: runs commands against an event store and keeps views up to date.
//!
//! It is handed ports ([`EventStore`](underlay_core::EventStore), [`ReadModels`](underlay_core::ReadModels),
//! [`Wakeups`](underlay_core::Wakeups), [`Clock`](underlay_core::Clock)) and never names an adapter.

mod browse;
mod cache;
mod commands;
mod config;
mod engine;
mod entities;
mod health;
mod known;
mod lru;
mod metrics;
mod names;
mod options;
mod overview;
mod processes;
mod pumps;
mod registry;
mod schedules;
mod stops;
mod subscription;
mod tail;
mod traces;
mod views;
mod work;

pub use browse::{Browse, EventFilter, EventQuery};
pub use cache::{CacheConfig, Cacheable, Keep, TenantCache, TieredCache};
pub use commands::{
    AsOf, Cancelled, CommandInfo, CommandList, CommandPage, CommandStatus, ErasedRefusal, ExecuteError,
    ExecuteNamedError, Executed, PastState, Request, SubmitOptions, Submitted, WaitingCommand,
    check_command_key,
};
pub use config::{EngineConfig, OnViewChange};
pub use engine::{Engine, Ports, RowStore, RowStores, RunningViews, Stores, WorkPorts};
pub use entities::{
    ByQuery, EntityStore, EntityStores, IdOf, Page, Repositories, Repository, StoredRepository, UnitOfWork,
};
pub use health::{RunningHealth, StorePart, WatchedStore};
pub use metrics::{Counter, Exposition, Family, Histogram, Kind, Lags, Samples};
pub use overview::{
    LetterChoice, LetterCount, LetterOrder, LettersSettled, ListedWork, ListedWorkPage, Overview,
};
pub use processes::{
    BlockingLetter, ProcessFilter, ProcessInstance, ProcessPage, ProcessSummary, SentLetter, WaitedCommand,
    WaitedTimer,
};
pub use pumps::{RewindTo, RunningPumps, RunningSubscribers, Subscribed};
pub use registry::{AggregateInfo, DecisionInfo, OperationInfo, Registry};
pub use schedules::{Missed, ScheduleDefinition, ScheduleInfo};
pub use subscription::{FollowerStanding, FollowerState, FollowerStatus, SubscriptionState};
pub use tail::{Kept, Tail, TailBounds, TailPage, TailReader};
pub use traces::{OpenSpan, Tracer, Traces};
pub use views::{
    OrderProgress, OrderRequest, OrderStanding, OrderState, RebuildFrom, Retried, RowAnswer, RowDifference,
    RowsAt, Standings, Verified, ViewAnswer, ViewOrder, ViewStanding, ViewState, ViewTask,
};
pub use work::{QueueStanding, ReceiverState, RunningWork, SchedulerState, WorkStandings, WorkerState};
