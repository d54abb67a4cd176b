use underlay_core::limits::{LEASE_SECONDS_MAX, PAGE_EVENTS_MAX};
use underlay_core::options::{ConfigOption, Configurable, Place, TextValue};

use crate::{EngineConfig, OnViewChange};

impl Configurable for EngineConfig {
    const OPTIONS: &'static [ConfigOption<Self>] = &[
        ConfigOption::<Self>::new(
            "conflict_retries_max",
            "How often a decision is made again after a conflict",
            |config| Place::Count(&mut config.conflict_retries_max),
        ),
        ConfigOption::<Self>::new(
            "turns_waiting_max",
            "Commands that may wait for their turn at one stream",
            |config| Place::Count(&mut config.turns_waiting_max),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "states_bytes_max",
            "Bytes of the states of aggregates kept in memory",
            |config| Place::Bytes(&mut config.states_bytes_max),
        ),
        ConfigOption::<Self>::new(
            "states_tenant_bytes_max",
            "Bytes of them that one tenant keeps while others want room",
            |config| Place::Bytes(&mut config.states_tenant_bytes_max),
        ),
        ConfigOption::<Self>::new("view_batch_events_max", "Events in one page of a view's work", |config| {
            Place::Count(&mut config.view_batch_events_max)
        })
        .at_least(1)
        .at_most(PAGE_EVENTS_MAX as u64),
        ConfigOption::<Self>::new(
            "view_poll_interval",
            "How long a view waits for a hint before it looks for itself",
            |config| Place::Time(&mut config.view_poll_interval),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "view_replaced_kept",
            "How long the rows that a rebuild replaced are kept",
            |config| Place::Time(&mut config.view_replaced_kept),
        ),
        ConfigOption::<Self>::new("pump_batch_events_max", "Events in one page of a pump's work", |config| {
            Place::Count(&mut config.pump_batch_events_max)
        })
        .at_least(1)
        .at_most(PAGE_EVENTS_MAX as u64),
        ConfigOption::<Self>::new("process", "The name of this process, for people", |config| {
            Place::Text(&mut config.process)
        }),
        ConfigOption::<Self>::new(
            "retry_delay_min",
            "The first pause after a failure that may pass; it doubles from there",
            |config| Place::Time(&mut config.retry_delay_min),
        )
        .at_least(1),
        ConfigOption::<Self>::new("retry_delay_max", "The longest pause after a failure", |config| {
            Place::Time(&mut config.retry_delay_max)
        })
        .at_least(1),
        ConfigOption::<Self>::new(
            "work_lease",
            "How long a worker that does not answer keeps others from its shards",
            |config| Place::Time(&mut config.work_lease),
        )
        .at_least(100)
        .at_most(LEASE_SECONDS_MAX * 1_000),
        ConfigOption::<Self>::new(
            "work_poll_interval",
            "How long a worker waits for a hint before it looks for work",
            |config| Place::Time(&mut config.work_poll_interval),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "work_drain",
            "How long a worker that ends waits for the attempts it has begun",
            |config| Place::Time(&mut config.work_drain),
        ),
        ConfigOption::<Self>::new("work_running_max", "Attempts at work that go on side by side", |config| {
            Place::Count(&mut config.work_running_max)
        })
        .at_least(1),
        ConfigOption::<Self>::new(
            "work_tenant_running_max",
            "Attempts at work that go on side by side for one tenant",
            |config| Place::Count(&mut config.work_tenant_running_max),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "work_receiver_running_max",
            "Attempts at work that go on side by side by one receiver",
            |config| Place::Count(&mut config.work_receiver_running_max),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "work_buffered_max",
            "Pieces of work that a worker has in memory",
            |config| Place::Count(&mut config.work_buffered_max),
        )
        .at_least(8),
        ConfigOption::<Self>::new(
            "work_buffered_bytes_max",
            "Bytes of work that a worker has in memory",
            |config| Place::Bytes(&mut config.work_buffered_bytes_max),
        )
        .at_least(8),
        ConfigOption::<Self>::new(
            "work_tenant_buffered_max",
            "Pieces of work that a worker has in memory for one tenant",
            |config| Place::Count(&mut config.work_tenant_buffered_max),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "work_tenant_buffered_bytes_max",
            "Bytes of work that a worker has in memory for one tenant",
            |config| Place::Bytes(&mut config.work_tenant_buffered_bytes_max),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "on_view_change",
            "What happens to a view whose definition changed: refuse or rebuild",
            |config| Place::Text(&mut config.on_view_change),
        ),
    ];
}

impl TextValue for OnViewChange {
    fn text(&self) -> Option<String> {
        Some(match self {
            Self::Refuse => "refuse".to_owned(),
            Self::Rebuild => "rebuild".to_owned(),
        })
    }

    fn set_text(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "refuse" => Self::Refuse,
            "rebuild" => Self::Rebuild,
            other => return Err(format!("{other:?} is neither refuse nor rebuild")),
        };
        Ok(())
    }
}
