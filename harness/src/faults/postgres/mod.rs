//! What can go wrong between a service and PostgreSQL. Each fault has a server of its own.

mod load;
mod place;
mod proxy;

mod administrators;
mod connection_limit;
mod dump;
mod failover;
mod flush;
mod full_disk;
mod horizon;
mod lost_answer;
mod older_backup;
mod pooler;
mod rebuild;
mod restarts;
mod start;
mod statistics;

use super::fault::Fault;

pub(super) const FAULTS: &[Fault] = &[
    Fault { name: "restart-fast", promised: restarts::PROMISED, run: |at| Box::pin(restarts::fast(at)) },
    Fault {
        name: "restart-immediate",
        promised: restarts::PROMISED,
        run: |at| Box::pin(restarts::immediate(at)),
    },
    Fault {
        name: "restart-long",
        promised: restarts::PROMISED,
        run: |at| Box::pin(restarts::away_for_long(at)),
    },
    Fault {
        name: "backends-ended",
        promised: restarts::PROMISED,
        run: |at| Box::pin(restarts::backends_ended(at)),
    },
    Fault {
        name: "backend-killed",
        promised: restarts::PROMISED,
        run: |at| Box::pin(restarts::backend_killed(at)),
    },
    Fault {
        name: "connection-limit",
        promised: connection_limit::PROMISED,
        run: |at| Box::pin(connection_limit::run(at)),
    },
    Fault { name: "lost-answer", promised: lost_answer::PROMISED, run: |at| Box::pin(lost_answer::run(at)) },
    Fault {
        name: "hang",
        promised: lost_answer::PROMISED_OF_A_HANG,
        run: |at| Box::pin(lost_answer::hang(at)),
    },
    Fault { name: "pooler", promised: pooler::PROMISED, run: |at| Box::pin(pooler::run(at)) },
    Fault { name: "dump-restore", promised: dump::PROMISED, run: |at| Box::pin(dump::run(at)) },
    Fault { name: "dump-rebuild", promised: rebuild::PROMISED, run: |at| Box::pin(rebuild::run(at)) },
    Fault {
        name: "older-backup",
        promised: older_backup::PROMISED,
        run: |at| Box::pin(older_backup::run(at)),
    },
    Fault {
        name: "migrate-without-superuser",
        promised: administrators::PROMISED,
        run: |at| Box::pin(administrators::run(at)),
    },
    Fault { name: "old-statistics", promised: statistics::PROMISED, run: |at| Box::pin(statistics::run(at)) },
    Fault { name: "start", promised: start::PROMISED, run: |at| Box::pin(start::run(at)) },
    Fault { name: "flush-fails", promised: flush::PROMISED, run: |at| Box::pin(flush::run(at)) },
    Fault { name: "failover", promised: failover::PROMISED, run: |at| Box::pin(failover::run(at)) },
    Fault { name: "full-disk", promised: full_disk::PROMISED, run: |at| Box::pin(full_disk::run(at)) },
    Fault { name: "vacuum-horizon", promised: horizon::PROMISED, run: |at| Box::pin(horizon::run(at)) },
];
