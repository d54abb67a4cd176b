//! What the server's errors mean to a caller, in one table.
//!
//! | The server says | The caller hears |
//! |---|---|
//! | `LOADING`, `MASTERDOWN`, `CLUSTERDOWN`, `TRYAGAIN`, `BUSY`, `UNKILLABLE` | `Unavailable`: it is busy with itself |
//! | `READONLY` | `Unavailable`: it is a replica, and the address leads to the primary again after a failover |
//! | `NOREPLICAS`, `MISCONF` | `Unavailable`: it takes no writes |
//! | `OOM`, too many clients | `Unavailable`: it has no room (overloaded) |
//! | `NOAUTH`, `WRONGPASS`, `NOPERM`, `NOPROTO`, no answer to the password | `Denied` |
//! | `MOVED`, `ASK`, `CROSSSLOT` | `Backend`: the address is that of one node of a cluster |
//! | `WRONGTYPE` | `Damaged`: a key of ours holds something that is not ours |
//! | nothing: refused, cut off, too slow | `Unavailable`; of a unit that was sent `UnitUncertain`; of another change that was sent, that its end is uncertain |
//! | anything else | `Backend` |

use std::time::Duration;

use redis::{ErrorKind, RedisError};
use underlay_core::Error;

use crate::connections::Failure;

/// When to try again where the server has no room.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What was asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Whether it was carried out does not matter: it reads, or doing it again changes nothing.
    Repeatable,
    /// A unit of changes of entities.
    Unit,
    /// A change of views.
    Change,
}

/// The error that a caller hears.
pub(crate) fn told(doing: &str, effect: Effect, failure: &Failure) -> Error {
    let error = failure.error();
    match effect {
        Effect::Unit if failure.is_uncertain() => {
            return Error::unit_uncertain(format!("{doing}: {error}"));
        }
        Effect::Change if failure.is_uncertain() => {
            return Error::unavailable(format!(
                "it is uncertain whether the view was changed ({doing}: {error}); read it to find out"
            ));
        }
        _ => {}
    }
    let unavailable = |why: &str| Error::unavailable(format!("{doing}: {why} ({error})"));
    let (code, detail) = code(error);
    match code.as_str() {
        "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "BUSY" | "UNKILLABLE" => {
            unavailable("Redis is busy with itself; nothing was stored")
        }
        "READONLY" => {
            unavailable("this Redis is a replica, and only the primary takes changes; nothing was stored")
        }
        "NOREPLICAS" | "MISCONF" => unavailable("Redis takes no changes at the moment; nothing was stored"),
        "OOM" => {
            Error::overloaded(format!("{doing}: Redis has used up its maxmemory ({error})"), RETRY_AFTER)
        }
        "ERR" if detail.contains("max number of clients") => {
            Error::overloaded(format!("{doing}: Redis has its maxclients ({error})"), RETRY_AFTER)
        }
        "NOAUTH" | "WRONGPASS" | "NOPERM" | "NOPROTO" => Error::Denied(format!("{doing}: {error}")),
        "MOVED" | "ASK" | "CROSSSLOT" => Error::backend(
            format!(
                "{doing}: the address is that of one node of a cluster; give that of a server that has all keys, or of a \
                 proxy before the cluster"
            ),
            error.clone(),
        ),
        "WRONGTYPE" => {
            Error::Damaged(format!("{doing}: a key holds something that was not stored here ({error})"))
        }
        _ => by_kind(doing, failure),
    }
}

fn by_kind(doing: &str, failure: &Failure) -> Error {
    let error = failure.error();
    match (error.kind(), failure) {
        (ErrorKind::AuthenticationFailed, _) => Error::Denied(format!("{doing}: {error}")),
        (ErrorKind::Io, Failure::NotSent(_)) => {
            Error::unavailable(format!("{doing}: Redis cannot be reached; nothing was stored ({error})"))
        }
        (ErrorKind::Io, Failure::Sent(_)) => {
            Error::unavailable(format!("{doing}: Redis did not answer ({error})"))
        }
        _ => Error::backend(doing, error.clone()),
    }
}

/// The code of an error, also of one within a transaction, and what the server says of it.
fn code(error: &RedisError) -> (String, String) {
    if let Some(errors) = error.clone().into_server_errors()
        && let Some((_, first)) = errors.first()
    {
        return (first.code().to_owned(), first.details().unwrap_or_default().to_owned());
    }
    let detail = error.detail().unwrap_or_default().to_owned();
    (error.code().unwrap_or_default().to_owned(), detail)
}
