use serde::{Deserialize, Serialize};

use crate::words::Json;

/// How a command ended, stored with its commit. Failures are never outcomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
// An export is read by it, of which nothing may be lost without a word.
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// The domain said yes. There may be no events: a decision can find nothing to do.
    Accepted,
    /// The domain said no. No events.
    Refused {
        /// The code of the refusal: names the rule.
        code: String,
        /// The refusal as one sentence for a person.
        message: String,
        /// The refusal's fields, as an object; `null` once its retention has passed.
        body: Json,
    },
}

impl Outcome {
    /// Whether it is a refusal whose message and body are past their retention.
    #[must_use]
    pub fn is_forgotten(&self) -> bool {
        matches!(self, Self::Refused { message, body, .. } if message.is_empty() && body.as_str() == "null")
    }

    /// The word stores keep for it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused { .. } => "refused",
        }
    }
}
