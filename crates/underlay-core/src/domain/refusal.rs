use std::fmt::{Debug, Display};

use serde::Serialize;

use crate::words::Json;

/// The domain says no. Written by `#[underlay::refusal]`.
///
/// Its text is one sentence for a person; its serde form is an object whose members say what was
/// wrong, for a program. Both are stored with the command.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a refusal",
    label = "put `#[underlay::refusal]` on the enum and `#[refusal(code = \"…\", message = \"…\")]` on its variants"
)]
pub trait Refusal: Debug + Display + Serialize + Clone + Sized + Send + Sync + 'static {
    /// The code of each way to say no.
    fn codes() -> Vec<&'static str>;

    /// The JSON Schema of the members of each of them, in the same order.
    fn schemas() -> Vec<Json>;

    /// Names the rule; stable, for programs.
    fn code(&self) -> &'static str;

    /// Reads a stored refusal; `None` where the code or its fields are no longer known.
    fn decode(code: &str, body: &str) -> Option<Self>;
}
