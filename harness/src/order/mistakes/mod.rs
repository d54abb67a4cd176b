//! The classic mistakes, made on purpose on plain SQLite, to see that the audit finds each of them;
//! and those that PostgreSQL invites to, made [there](postgres).
//!
//! They are about order and truth, not about the disk: the [`table`] they share is not flushed,
//! and where a process would be killed a thread forgets what it had in memory.

mod acknowledgement;
mod checkpoint;
mod cut_page;
mod late_position;
mod postgres;
mod queue;
mod repeat;
mod sort;
mod table;
mod turns;
mod version_check;

use std::path::Path;

use super::audit::Fault;
use super::evidence::Evidence;
use crate::Result;
use crate::dice::Dice;
use crate::subject::Subject;

/// What comes of a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consequence {
    Fault(Fault),
    /// A reader that stands still for as long as others please.
    Stall,
}

/// A way to do it wrong.
struct Mistake {
    /// What is done wrong.
    name: &'static str,
    fault: Fault,
    make: fn(&Path, &mut Dice) -> Result<Evidence>,
}

/// A mistake that was made.
pub(crate) struct Made {
    /// What was done wrong.
    pub(crate) name: &'static str,
    pub(crate) consequence: Consequence,
    pub(crate) evidence: Evidence,
}

const MISTAKES: &[Mistake] = &[
    Mistake { name: "position drawn before the transaction", fault: Fault::Lost, make: late_position::make },
    Mistake { name: "page cut within a commit", fault: Fault::HalfSeen, make: cut_page::make },
    Mistake {
        name: "version read, then inserted without a constraint",
        fault: Fault::VersionHoles,
        make: version_check::make,
    },
    Mistake { name: "acknowledged before the commit", fault: Fault::Lost, make: acknowledgement::make },
    Mistake {
        name: "checkpoint stored before the work",
        fault: Fault::Lost,
        make: checkpoint::make_too_early,
    },
    Mistake {
        name: "checkpoint stored after the work, repeats not noticed",
        fault: Fault::Duplicated,
        make: checkpoint::make_too_late,
    },
    Mistake { name: "sent again without an id", fault: Fault::Duplicated, make: repeat::make },
    Mistake { name: "ordered by the writers' clocks", fault: Fault::Reordered, make: sort::make },
    Mistake {
        name: "position told before it is known",
        fault: Fault::Misanswered,
        make: acknowledgement::make_with_a_guess,
    },
    Mistake { name: "turns in a ring that moves by one", fault: Fault::Uneven, make: turns::make },
    Mistake {
        name: "work settled by its id alone",
        fault: Fault::Duplicated,
        make: queue::settle_by_the_id_alone,
    },
    Mistake {
        name: "work claimed without a term",
        fault: Fault::Duplicated,
        make: queue::claim_without_a_term,
    },
    Mistake {
        name: "order of a key lost at a retry",
        fault: Fault::Reordered,
        make: queue::let_others_pass_at_a_retry,
    },
    Mistake { name: "work done by wake-ups alone", fault: Fault::Lost, make: queue::rely_on_wakeups },
];

/// Makes every mistake that a store of this kind invites to. They are made beside it, never in it.
pub(crate) async fn make_all(subject: &dyn Subject, directory: &Path, dice: &mut Dice) -> Result<Vec<Made>> {
    match subject.server() {
        Some(server) => postgres::make_all(server, dice).await,
        None => tokio::task::block_in_place(|| make_in_files(directory, dice)),
    }
}

/// Makes every mistake of this module, each in a file of its own.
fn make_in_files(directory: &Path, dice: &mut Dice) -> Result<Vec<Made>> {
    let make = |(number, mistake): (usize, &Mistake)| {
        let Mistake { name, fault, make } = mistake;
        let path = directory.join(format!("mistake-{number}.db"));
        let evidence = make(&path, dice).map_err(|error| format!("{name}: {error}"))?;
        Ok(Made { name, consequence: Consequence::Fault(*fault), evidence })
    };
    MISTAKES.iter().enumerate().map(make).collect()
}
