//! The methods of the ports and of the engine, and which of them are attacked. One that is added
//! without an attack fails a test, and one that was not called fails the run.

use std::collections::BTreeMap;

/// Called by one tenant with what another has.
pub(super) const ATTACKED: [&str; 64] = [
    "Archive::import_commits",
    "Archive::read_commits",
    "Engine::cancel_command",
    "Engine::command_status",
    "Engine::commands",
    "Engine::count",
    "Engine::count_dead_letters",
    "Engine::dead_letters",
    "Engine::execute",
    "Engine::execute_named",
    "Engine::find_dead_letter",
    "Engine::list_work",
    "Engine::look_for_command",
    "Engine::operate",
    "Engine::operate_named",
    "Engine::past_state",
    "Engine::process",
    "Engine::processes",
    "Engine::put_schedule",
    "Engine::query",
    "Engine::remove_schedule",
    "Engine::row",
    "Engine::rows_at",
    "Engine::schedules",
    "Engine::settle_chosen_letters",
    "Engine::settle_dead_letter",
    "Engine::settle_dead_letters",
    "Engine::submit",
    "Engine::submit_named",
    "Engine::submit_operation",
    "Engine::submit_operation_named",
    "Engine::tenant_queues",
    "Entities::apply",
    "Entities::count",
    "Entities::load",
    "Entities::query",
    "EventStore::commit",
    "EventStore::find_commit",
    "EventStore::read_all",
    "EventStore::read_stream",
    "EventStore::streams",
    "EventStore::underway",
    "EventStore::versions",
    "EventStoreExt::commit_status",
    "EventStoreExt::read_commit",
    "EventStoreExt::read_stream_whole",
    "ReadModels::apply",
    "ReadModels::count",
    "ReadModels::get",
    "ReadModels::load",
    "ReadModels::query",
    "Schedules::list_schedules",
    "Schedules::put_schedule",
    "Schedules::remove_schedule",
    "Snapshots::load_snapshot",
    "Snapshots::remove_snapshot",
    "Snapshots::store_snapshot",
    "Wakeups::subscribe",
    "Wakeups::subscribe_work",
    "WorkQueue::discard",
    "WorkQueue::find_work",
    "WorkQueue::list_work",
    "WorkQueue::queue_depths",
    "WorkQueue::replay",
];

/// Not about a tenant: what they tell is no tenant's, or for the engine alone.
#[cfg(test)]
const OF_NO_TENANT: [&str; 95] = [
    // The log as a whole: its name, its length, and for the engine the id of an event.
    "EventStore::store_id",
    "EventStore::head",
    "EventStore::position_at",
    "EventStore::event_id_at",
    "EventStore::keeps_entities",
    "EventStoreExt::check_checkpoint",
    // The shape of entities, and what is changed together.
    "Entities::atomicity",
    "Entities::prepare",
    // How a store is.
    "Health::check",
    "Health::weaknesses",
    // Which views there are, and how far they have come.
    "ReadModels::prepare",
    "ReadModels::begin_generation",
    "ReadModels::activate",
    "ReadModels::revert",
    "ReadModels::discard",
    "ReadModels::sweep",
    // Of every tenant, for who looks after the service.
    "ReadModels::parked",
    "ReadModels::skip",
    "ReadModels::skipped",
    "ReadModels::views",
    "ReadModels::scan",
    "ReadModels::alterations",
    "ReadModels::put_order",
    "ReadModels::checkpoint",
    "Engine::wait_for_view",
    "Engine::rebuild_view",
    "Engine::order_view",
    "Engine::carry_out_order",
    "Engine::cancel_order",
    "Engine::discard_view",
    "Engine::retry_view",
    "Engine::revert_view",
    "Engine::skip_view",
    "Engine::view_holder",
    "Engine::view_info",
    "Engine::restart_process",
    "Engine::retry_process",
    "Engine::retry_pump",
    "Engine::rewind_pump",
    // Who works at what, and what is forgotten after a time.
    "Leases::acquire",
    "Leases::find",
    "Leases::renew",
    "Leases::release",
    "Checkpoints::find_checkpoint",
    "Checkpoints::list_checkpoints",
    "Checkpoints::move_checkpoint",
    "Schedules::advance_schedule",
    "Schedules::due_schedules",
    "WorkQueue::leave",
    "WorkQueue::read_due",
    "WorkQueue::begin",
    "WorkQueue::read_work",
    "WorkQueue::release",
    "WorkQueue::settle",
    "WorkQueue::share",
    "Retention::forget_outcome_bodies",
    "Retention::forget_empty_commits",
    // What drives jobs. A job names its tenant, and what it is about is read in the store as that tenant's.
    "Scheduler::identity",
    "Scheduler::run",
    "Scheduler::later",
    "Scheduler::serve",
    "Scheduler::check",
    "JobRunner::attempt",
    "JobRunner::timeout",
    // What goes on within a process: a bus hands on what its publishers name, and a sink gets the log of all.
    "EventBus::dead_letters",
    "EventBus::discard",
    "EventBus::publish_batch",
    "EventBus::publish_to",
    "EventBus::replay",
    "EventBus::subscribe",
    "EventBus::subscribers",
    "EventBus::unsubscribe",
    "EventBusExt::publish",
    "Subscriber::take",
    // What is recorded of a request has the tenant in it.
    "Spans::record",
    "Sink::filter",
    "Sink::start",
    "Sink::take",
    "Sink::timeout",
    // It knows addresses, and no tenants.
    "Mail::send",
    // No store under attack has a cache; its suite has the case that holds tenants apart.
    "Cache::clear",
    "Cache::delete_many",
    "Cache::exists",
    "Cache::get_many",
    "Cache::invalidate",
    "Cache::invalidate_matching",
    "Cache::set_many",
    "CacheExt::delete",
    "CacheExt::get",
    "CacheExt::set",
    // The end of it.
    "Clock::now",
    "Clock::sleep",
    // What its code says of a view, and of an event that whoever asks has.
    "Engine::changed_keys",
    "Engine::view_filter",
    // How many commands this process has answered, of all tenants: a page tells it to operators of the store.
    "Engine::commands_ended",
];

/// Methods that were not tried.
pub(super) fn missing(tried: &BTreeMap<&'static str, u64>) -> Vec<&'static str> {
    ATTACKED.into_iter().filter(|method| tried.get(method).is_none_or(|tries| *tries == 0)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The methods in the sources of a folder, of what `opens` names in a line.
    fn methods(folder: &str, opens: impl Fn(&str) -> Option<String>, public: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut paths = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder)];
        while let Some(path) = paths.pop() {
            if path.is_dir() {
                paths.extend(fs::read_dir(path).unwrap().map(|file| file.unwrap().path()));
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = fs::read_to_string(path).unwrap();
            let mut of = None;
            for line in text.lines() {
                if line == "}" {
                    of = None;
                } else if let Some(name) = opens(line) {
                    of = Some(name);
                } else if let Some(of) = &of
                    && let Some(rest) = line.strip_prefix(&format!("    {public}"))
                    && let Some(rest) = rest.strip_prefix("async fn ").or_else(|| rest.strip_prefix("fn "))
                {
                    let name: String =
                        rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    found.insert(format!("{of}::{name}"));
                }
            }
        }
        found
    }

    #[test]
    fn every_method_of_a_port_or_the_engine_is_attacked_or_of_no_tenant() {
        let port = |line: &str| {
            let name = line.strip_prefix("pub trait ")?;
            let (name, bounds) = name.split_once(':')?;
            // Ports are shared between threads, and what stands on them by `…Ext`.
            (bounds.contains("Send + Sync + 'static") && !name.contains('<') || name.ends_with("Ext"))
                .then(|| name.to_owned())
        };
        let mut there = methods("crates/underlay-core/src/ports", port, "");
        assert!(there.len() > 30, "{there:?}");
        // Those that take a tenant: the others give what the engine is made of.
        let engine = |line: &str| (line == "impl Engine {").then(|| "Engine".to_owned());
        let mut of_engine = methods("crates/underlay-runtime/src", engine, "pub ");
        let parts = [
            "new",
            "with_row_stores",
            "with_stores",
            "store",
            "read_models",
            "registry",
            "config",
            "wakeups",
            "clock",
            "start_views",
        ];
        let parts = parts.into_iter().chain([
            "view_states",
            "view_standing",
            "view_standings",
            "view_standings_now",
            "start_work",
            "worker_state",
            "work_standings",
            "process_states",
            "process_standings",
            "overview",
            "queue",
            "start_pumps",
            "pump_states",
            "pump_standings",
            "pump_standings_now",
            "start_subscribers",
            "subscribe",
            "bus",
            "tracer",
            "lags",
            "write_metrics",
            "write_standings",
            // What is handed out is of the tenant of a request, and takes no other.
            "cache",
            "repositories",
            "repository",
            "unit_of_work",
            "prepare_entities",
            "entity_places",
            "start_health",
            "store_parts",
        ]);
        for part in parts {
            assert!(of_engine.remove(&format!("Engine::{part}")), "the engine has no {part}");
        }
        there.append(&mut of_engine);
        let declared: BTreeSet<String> =
            ATTACKED.into_iter().chain(OF_NO_TENANT).map(str::to_owned).collect();
        assert_eq!(there, declared, "methods that are there, and methods of which this knows");
    }

    #[test]
    fn a_method_that_was_not_called_is_missing() {
        let mut tried: BTreeMap<&'static str, u64> = ATTACKED.into_iter().map(|method| (method, 1)).collect();
        assert!(missing(&tried).is_empty());
        tried.insert("EventStore::commit", 0);
        assert_eq!(missing(&tried), ["EventStore::commit"]);
    }
}
