//! What can go wrong between a service and the MongoDB that keeps its entities.

mod primary;
mod stand;

use self::stand::MongodbStand;
use super::entities::{self, PROMISED};
use super::fault::Fault;

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "mongodb-stopped",
        promised: PROMISED,
        run: |at| Box::pin(entities::stopped::<MongodbStand>(at)),
    },
    Fault {
        name: "mongodb-killed",
        promised: PROMISED,
        run: |at| Box::pin(entities::killed::<MongodbStand>(at)),
    },
    Fault {
        name: "mongodb-away-for-long",
        promised: PROMISED,
        run: |at| Box::pin(entities::long_away::<MongodbStand>(at)),
    },
    Fault { name: "mongodb-steps-down", promised: PROMISED, run: |at| Box::pin(primary::steps_down(at)) },
    Fault { name: "mongodb-failover", promised: PROMISED, run: |at| Box::pin(primary::failover(at)) },
    Fault {
        name: "mongodb-silent",
        promised: PROMISED,
        run: |at| Box::pin(entities::silence::<MongodbStand>(at)),
    },
    Fault {
        name: "mongodb-slow",
        promised: PROMISED,
        run: |at| Box::pin(entities::slow::<MongodbStand>(at)),
    },
    Fault {
        name: "mongodb-cut-off",
        promised: PROMISED,
        run: |at| Box::pin(entities::cut::<MongodbStand>(at)),
    },
    Fault {
        name: "mongodb-answers-lost",
        promised: PROMISED,
        run: |at| Box::pin(entities::answers_lost::<MongodbStand>(at)),
    },
    Fault {
        name: "mongodb-full-disk",
        promised: PROMISED,
        run: |at| Box::pin(entities::full_disk::<MongodbStand>(at)),
    },
];
