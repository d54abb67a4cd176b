use std::error::Error as StdError;
use std::time::Duration;

use temporalio_client::errors::ClientConnectError;
use temporalio_client::tonic::{Code, Status};
use underlay_core::words::Error;

use crate::address::TemporalAddress;
use crate::client::may_pass;

/// When to try again where the server says that it has too much to do.
const OVERLOADED_PAUSE: Duration = Duration::from_secs(1);

/// What a call that failed means to whoever asked for it.
pub(crate) fn from_status(address: &TemporalAddress, status: &Status) -> Error {
    let TemporalAddress { host, port, namespace, .. } = address;
    let said = status.message();
    match status.code() {
        Code::NotFound if said.to_lowercase().contains("namespace") => Error::invalid(format!(
            "the Temporal server at {host}:{port} has no namespace {namespace:?}; `temporal operator namespace create \
             --namespace {namespace}` creates it"
        )),
        Code::Unauthenticated | Code::PermissionDenied => Error::invalid(format!(
            "the Temporal server at {host}:{port} does not let this process into {namespace:?} ({said}); check its API \
             key or its certificate"
        )),
        _ if !may_pass(status) => Error::invalid(format!("Temporal refuses it: {said}")),
        Code::ResourceExhausted => Error::overloaded(
            format!("Temporal at {host}:{port} has too much to do: {said}"),
            OVERLOADED_PAUSE,
        ),
        code => Error::unavailable(format!("Temporal at {host}:{port}: {said} ({code:?})")),
    }
}

/// Why there is no connection.
pub(crate) fn from_connect(address: &TemporalAddress, error: &ClientConnectError) -> Error {
    let TemporalAddress { host, port, .. } = address;
    match error {
        ClientConnectError::SystemInfoCallError(status) => from_status(address, status),
        ClientConnectError::InvalidUri(_)
        | ClientConnectError::InvalidHeaders(_)
        | ClientConnectError::InvalidConfig(_) => {
            Error::invalid(format!("Temporal at {host}:{port} cannot be connected to: {error}"))
        }
        ClientConnectError::TonicTransportError(error) => unreachable_for(address, &reasons(error)),
        other => unreachable_for(address, &other.to_string()),
    }
}

fn unreachable_for(address: &TemporalAddress, why: &str) -> Error {
    let TemporalAddress { host, port, tls, .. } = address;
    let advice = match tls {
        Some(_) if why.contains("peer certificate") => {
            "; `ca` names what is trusted, and `server_name` its name"
        }
        Some(_) if why.contains("InvalidContentType") => "; it does not speak TLS, `tls=false` would fit",
        _ => "",
    };
    Error::unavailable(format!("Temporal at {host}:{port} is not reached: {why}{advice}"))
}

/// An error with what it came from.
fn reasons(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        source = error.source();
    }
    text
}
