//! What can go wrong between a service and the Redis that keeps its entities, or its cache.

mod cache;
mod refusing;
mod stand;

use self::stand::RedisStand;
use super::entities::{self, PROMISED};
use super::fault::Fault;

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "redis-stopped",
        promised: PROMISED,
        run: |at| Box::pin(entities::stopped::<RedisStand>(at)),
    },
    Fault {
        name: "redis-killed",
        promised: PROMISED,
        run: |at| Box::pin(entities::killed::<RedisStand>(at)),
    },
    Fault {
        name: "redis-away-for-long",
        promised: PROMISED,
        run: |at| Box::pin(entities::long_away::<RedisStand>(at)),
    },
    Fault { name: "redis-loading", promised: PROMISED, run: |at| Box::pin(refusing::loading(at)) },
    Fault { name: "redis-read-only", promised: PROMISED, run: |at| Box::pin(refusing::read_only(at)) },
    Fault {
        name: "redis-out-of-memory",
        promised: PROMISED,
        run: |at| Box::pin(refusing::out_of_memory(at)),
    },
    Fault {
        name: "redis-silent",
        promised: PROMISED,
        run: |at| Box::pin(entities::silence::<RedisStand>(at)),
    },
    Fault { name: "redis-slow", promised: PROMISED, run: |at| Box::pin(entities::slow::<RedisStand>(at)) },
    Fault { name: "redis-cut-off", promised: PROMISED, run: |at| Box::pin(entities::cut::<RedisStand>(at)) },
    Fault {
        name: "redis-answers-lost",
        promised: PROMISED,
        run: |at| Box::pin(entities::answers_lost::<RedisStand>(at)),
    },
    Fault {
        name: "redis-full-disk",
        promised: PROMISED,
        run: |at| Box::pin(entities::full_disk::<RedisStand>(at)),
    },
    Fault { name: "cache-killed", promised: cache::PROMISED, run: |at| Box::pin(cache::killed(at)) },
    Fault { name: "cache-cut-off", promised: cache::PROMISED, run: |at| Box::pin(cache::cut_off(at)) },
];
