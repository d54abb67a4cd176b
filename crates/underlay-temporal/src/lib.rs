//! Work on Temporal.
