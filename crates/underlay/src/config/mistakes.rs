use std::fmt;

use crate::ExitError;

/// One mistake of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Where it is.
    pub(crate) place: String,
    /// What is wrong and what would be right.
    pub(crate) text: String,
}

/// Every mistake of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistakes(pub(crate) Vec<Mistake>);

impl Mistake {
    pub(crate) fn new(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self { place: place.into(), text: text.into() }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the configuration has a mistake:")?,
            count => write!(f, "the configuration has {count} mistakes:")?,
        }
        self.0.iter().try_for_each(|Mistake { place, text }| write!(f, "\n  {place}: {text}"))
    }
}

impl From<Mistakes> for ExitError {
    fn from(mistakes: Mistakes) -> Self {
        Self::invalid(mistakes.to_string())
    }
}
