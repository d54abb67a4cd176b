//! What is recorded of a trace: each hop of a request as a span, which the next one follows from.
//!
//! ```text
//!  request ─► command ─► load, decide, commit ─► metadata of the events ─► fold of each view
//!                                                     │
//!                                                     └─► step of a process ─► stored command ─► command ─► …
//!                                                                         └─► message ─► handler
//! ```
//!
//! A hop that stores something stores the context of its own span in place of the one that came. So whoever does
//! what follows, in whatever process and after whatever restart, knows where it belongs, and nothing is kept in memory.
//!
//! Where nobody records spans, contexts go on as they came and no id is drawn. Where somebody does, a trace that is not
//! sampled goes on as it came too. Only a request begins a trace: what was stored without one stays without one.

mod folds;
mod tracer;

pub(crate) use tracer::context_in;
pub use tracer::{OpenSpan, Tracer, Traces};
