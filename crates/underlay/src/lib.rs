//! Underlay is the infrastructure layer for event-sourced, multi-tenant services. You write the domain as plain
//! functions, and this crate gives it everything outside.
//!
//! - [`Service`] is a whole program, with an HTTP API, views and a command line.
//! - [`Service::open`] gives its engine, for use inside a program you have.
//! - [`Store`] is the event store alone.
//!
//! What a service is written with stands at the root. The rest has the folders of `underlay-core`: [`words`],
//! [`domain`], [`ports`], the [`adapter`] toolkit, and the [`memory`] adapters.

mod adapters;
pub mod archive_file;
mod cache;
mod cli;
mod config;
mod entities;
pub mod events_lock;
mod exit;
mod links;
mod mail;
mod retention;
mod scheduler;
mod service;
mod store;
mod suggestion;
mod telemetry;
mod views;

pub use adapters::Adapters;
pub use async_trait::async_trait;
pub use clap;
pub use cli::{App, CliCommand};
pub use exit::{Exit, ExitError};
pub use links::Links;
pub use service::Service;
pub use store::Store;
#[doc(hidden)]
pub use underlay_core as core;
pub use underlay_core::{
    Actor, Aggregate, BusSubscription, Category, Clock, ColumnValue, Command, CommandOutcome, Commit,
    CommitId, Condition, Context, Decimal, Decision, Delivery, Draw, Drawing, Email, Entities, Entity,
    EntityColumn, EntityId, EntityVersion, Error, Event, EventId, EventStore, EventStoreExt, ExpectedVersion,
    Handled, Handler, HandlerError, Input, Keys, Mail, MailError, Mailbox, NewEvent, OnFault, Operation,
    Outgoing, Persistent, Position, Process, ProcessStart, Query, ReadModels, Reads, Recorded, RecordedEvent,
    Refusal, Row, Sink, Specification, Step, StepContext, StreamName, Streams, Subscriber, TenantId,
    Timestamp, Value, Version, View,
};
pub use underlay_core::{adapter, domain, memory, ports, words};
pub use underlay_derive::{command, entity, event, refusal, row, snapshot, value};
pub use underlay_outbound::mail::Template;
pub use underlay_runtime::{
    CacheConfig, Cacheable, Cancelled, CommandInfo, CommandStatus, Engine, EngineConfig, ErasedRefusal,
    ExecuteError, ExecuteNamedError, Executed, Keep, Missed, OnViewChange, Page, RebuildFrom, Repositories,
    Repository, Request, ScheduleDefinition, SubmitOptions, Submitted, TenantCache, Traces, UnitOfWork,
};
pub use underlay_server as server;
pub use underlay_server::{
    Credentials, Denied, LinkAnswer, LinkKey, LinkPage, LinkTarget, LogReaders, OpenedLink, Principal,
};
#[cfg(feature = "temporal")]
pub use underlay_temporal as temporal;
