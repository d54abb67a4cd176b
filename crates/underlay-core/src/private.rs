//! What code written by the macros of `underlay-derive` needs, under one name. Not part of the
//! public promise: it changes with the macros.

pub use schemars;
pub use serde;
pub use serde_json;

use std::fmt::Debug;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{
    CommandError, DecodeError, EventDescriptor, SnapshotState, decode_body, schema_of, sent_schema_of,
};
use crate::words::Json;

/// Lifts a payload from one version to the next; the text says why it cannot.
pub type Upcast = fn(Value) -> Result<Value, String>;

/// Reads a payload of a declared type. `upcasts` holds one step for each version before today's.
///
/// # Errors
/// [`DecodeError`] where the version is not one of the type's, a step fails, or the payload does
/// not fit.
#[inline]
pub fn decode_payload<T: DeserializeOwned>(
    descriptor: EventDescriptor,
    schema_version: u32,
    payload: &str,
    upcasts: &[Upcast],
) -> Result<T, DecodeError> {
    let decoded = if schema_version == descriptor.version {
        serde_json::from_str(payload).map_err(|error| error.to_string())
    } else {
        lift(descriptor, schema_version, payload, upcasts)
            .and_then(|value| serde_json::from_value(value).map_err(|error| error.to_string()))
    };
    decoded.map_err(|reason| DecodeError { event_type: descriptor.name.to_owned(), schema_version, reason })
}

/// The payload as it would have been written today.
#[cold]
fn lift(
    descriptor: EventDescriptor,
    schema_version: u32,
    payload: &str,
    upcasts: &[Upcast],
) -> Result<Value, String> {
    let today = descriptor.version;
    if schema_version > today {
        return Err(format!(
            "written by a newer version of this service; this one reads versions 1 to {today}"
        ));
    }
    if schema_version == 0 {
        return Err(format!(
            "versions start at 1; this one was written by a newer version of this service, or is damaged \
             (versions 1 to {today} can be read)"
        ));
    }
    let mut value = serde_json::from_str(payload).map_err(|error| error.to_string())?;
    for (from, upcast) in (1..today).zip(upcasts).skip_while(|(from, _)| *from < schema_version) {
        value = upcast(value)
            .map_err(|reason| format!("cannot be lifted from version {from} to {}: {reason}", from + 1))?;
    }
    Ok(value)
}

/// The JSON Schema of a payload as it is written. It holds no name of a Rust type but where a type
/// holds itself; its title is the declared name.
#[must_use]
pub fn payload_schema<T: JsonSchema>(name: &str) -> Json {
    schema_of::<T>(name)
}

/// The JSON Schema of a body as it may be sent, by the same rules.
#[must_use]
pub fn body_schema<T: JsonSchema>(name: &str) -> Json {
    sent_schema_of::<T>(name)
}

/// The same of a command without fields, as [`decode_nothing`] reads it.
#[must_use]
pub fn schema_of_nothing<T: JsonSchema>(name: &str) -> Json {
    let schema = sent_schema_of::<T>(name);
    let Ok(Value::Object(mut members)) = schema.decode() else { return schema };
    members.insert("type".to_owned(), serde_json::json!(["object", "null"]));
    Json::from_stored(Value::Object(members).to_string())
}

/// The JSON Schema of an aggregate's state, by the same rules; its title is the category.
#[must_use]
pub fn state_schema<A: SnapshotState + JsonSchema>() -> Json {
    schema_of::<A>(A::CATEGORY)
}

/// Reads the body of a command with named fields. Only an object will do: serde would take an array
/// for the fields in order.
///
/// # Errors
/// [`CommandError::Body`].
pub fn decode_fields<T: DeserializeOwned>(name: &str, body: &str) -> Result<T, CommandError> {
    if body.trim_start().starts_with('{') {
        return decode_value(name, body);
    }
    let reason = "expected an object with the command's fields".to_owned();
    Err(CommandError::Body { name: name.to_owned(), reason })
}

/// Reads the body of a command that holds one value.
///
/// # Errors
/// [`CommandError::Body`].
pub fn decode_value<T: DeserializeOwned>(name: &str, body: &str) -> Result<T, CommandError> {
    decode_body(name, body)
}

/// Reads the body of a command without fields: nothing, `null` or `{}`.
///
/// # Errors
/// [`CommandError::Body`] where it holds something.
pub fn decode_nothing(name: &str, body: &str) -> Result<(), CommandError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}

    let body = body.trim();
    if body.is_empty() || body == "null" {
        return Ok(());
    }
    if body.starts_with('{') {
        return decode_value(name, body).map(|Nothing {}| ());
    }
    let reason = "the command has no fields: expected no body, or an empty object".to_owned();
    Err(CommandError::Body { name: name.to_owned(), reason })
}

/// What a field of an event, a value or a stored state needs: one name for it, so that its lack is one sentence.
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` cannot be stored",
    label = "put `#[underlay::value]` on the type of your own in it; a type of another crate is written by `#[serde(with = \"…\")]`"
)]
pub trait StoredField: Clone + Debug + PartialEq + Serialize + DeserializeOwned + JsonSchema {}

#[diagnostic::do_not_recommend]
impl<T: Clone + Debug + PartialEq + Serialize + DeserializeOwned + JsonSchema> StoredField for T {}

/// The same of a command or a refusal.
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` cannot be sent",
    label = "put `#[underlay::value]` on the type of your own in it; a type of another crate is written by `#[serde(with = \"…\")]`"
)]
pub trait SentField: Clone + Debug + PartialEq + Serialize + DeserializeOwned + JsonSchema {}

#[diagnostic::do_not_recommend]
impl<T: Clone + Debug + PartialEq + Serialize + DeserializeOwned + JsonSchema> SentField for T {}

/// Builds only where a field can be stored.
pub fn check_stored<T: StoredField>() {}

/// Builds only where a field can be sent.
pub fn check_sent<T: SentField>() {}
