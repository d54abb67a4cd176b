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
