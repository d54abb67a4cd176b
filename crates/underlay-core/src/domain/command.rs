use crate::words::{Error, Json};

/// A declared command: its name in addresses and stores, and who may give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommandDescriptor {
    /// The name.
    pub name: &'static str,
    /// Who comes in from outside needs one of these roles; none are needed where there are none. The
    /// edge looks at them, typed code does not.
    pub roles: &'static [&'static str],
}

/// Why a text is not a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no command of that name.
    #[error("there is no command {name:?}; there are: {}", known.join(", "))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<&'static str>,
    },
    /// The body does not fit the command.
    #[error("the body does not fit command {name:?}: {reason}")]
    Body {
        /// The command.
        name: String,
        /// What does not fit, and where.
        reason: String,
    },
}

/// A closed set of commands. Written by `#[underlay::command]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a declared set of commands",
    label = "put `#[underlay::command]` on the enum and `#[command(name = \"…\")]` on its variants"
)]
pub trait Command: Sized + Clone + Send + Sync + 'static {
    /// Every command of the set.
    fn descriptors() -> Vec<CommandDescriptor>;

    /// The JSON Schema of the body of each of them, in the same order: what may be sent.
    fn schemas() -> Vec<Json>;

    /// Which command this is.
    fn descriptor(&self) -> CommandDescriptor;

    /// The body of this command. Where it is called by typed code, it tells a repeat from something
    /// else ([`Asked::typed`](crate::domain::Asked::typed)): an optional field may be added, and one that is
    /// `None` is as if it was not there.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a field has no JSON form.
    fn encode(&self) -> Result<Json, Error>;

    /// Reads a command from its name and body.
    ///
    /// # Errors
    /// [`CommandError`].
    fn decode(name: &str, body: &str) -> Result<Self, CommandError>;
}
