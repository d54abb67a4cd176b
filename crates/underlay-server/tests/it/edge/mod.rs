//! What is the same around every request, and the connections they come on.

mod access_log;
mod compression;
mod cors;
mod http2;
mod requests;
mod start_and_stop;
#[cfg(all(feature = "tls", unix))]
mod tls;
