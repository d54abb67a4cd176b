//! Work over the memory store: several workers, a clock that is moved by hand, and a handler that does what a test
//! tells it to.

mod attempts;
mod bounds;
mod counted;
mod killers;
mod messages;
mod order;
mod settling;
mod shards;
mod turns;
mod yard;

/// Whether a scheduler drives the attempts.
const IS_DRIVEN: bool = false;

/// The same tests where a scheduler drives the attempts of all processes of a yard, and tests of that alone. What ends
/// its process is not among them: there the scheduler begins it again, before a worker can count it.
#[expect(clippy::duplicate_mod, reason = "the same tests run twice, on another yard")]
#[path = "."]
mod driven {
    const IS_DRIVEN: bool = true;

    mod attempts;
    mod bounds;
    mod counted;
    mod messages;
    mod order;
    mod schedulers;
    mod settling;
    mod shards;
    mod turns;
    mod yard;
}
