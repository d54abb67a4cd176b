//! Mail to a real server: what it takes, what it refuses, and what happens while it is away.

mod answers;
mod doors;
mod exim;
mod silence;

mod conformance {
    underlay_testkit::conformance!(mail, super::exim::Server);
}
