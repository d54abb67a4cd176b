//! What a process is defined by, as its checkpoint keeps it, and what a change of it means for instances in flight.

use serde::{Deserialize, Serialize};

/// What a process is defined by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Definition {
    /// [`Process::VERSION`](underlay_core::Process::VERSION).
    pub(crate) version: u32,
    /// The fingerprint of the shape of the state.
    pub(crate) state: String,
    /// The event types that it is given, sorted.
    pub(crate) event_types: Vec<String>,
}

/// The same, as it is stored beside a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Defined {
    pub(crate) definition: Definition,
}

/// How the definition in the code fits the one in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    Same,
    /// The code is newer, and says so.
    Newer,
    /// The code is older: another program does the work.
    Older,
    /// The code differs, and does not say that it is newer.
    Changed(String),
}

impl Definition {
    /// How this definition, which the code has, fits the stored one.
    pub(crate) fn fit(&self, stored: &Self) -> Fit {
        if self.version > stored.version {
            return Fit::Newer;
        }
        if self.version < stored.version {
            return Fit::Older;
        }
        if self.state != stored.state {
            return Fit::Changed("the shape of its state changed".to_owned());
        }
        let lacks = |types: &[String], others: &[String]| {
            types.iter().filter(|name| !others.contains(name)).cloned().collect::<Vec<_>>().join(", ")
        };
        let more = lacks(&self.event_types, &stored.event_types);
        let fewer = lacks(&stored.event_types, &self.event_types);
        match (more.as_str(), fewer.as_str()) {
            ("", "") => Fit::Same,
            (more, "") => Fit::Changed(format!("it is given {more} too")),
            ("", fewer) => Fit::Changed(format!("it is not given {fewer} any more")),
            (more, fewer) => Fit::Changed(format!("it is given {more} too, and {fewer} no more")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_unless_the_version_says_that_it_is_meant() {
        let types = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let stored = Definition { version: 2, state: "a".to_owned(), event_types: types(&["paid", "sent"]) };
        assert_eq!(stored.fit(&stored), Fit::Same);
        assert_eq!(Definition { version: 3, ..stored.clone() }.fit(&stored), Fit::Newer);
        assert_eq!(Definition { version: 1, ..stored.clone() }.fit(&stored), Fit::Older);
        for (changed, word) in [
            (Definition { state: "b".to_owned(), ..stored.clone() }, "shape"),
            (Definition { event_types: types(&["paid", "sent", "sold"]), ..stored.clone() }, "sold too"),
            (Definition { event_types: types(&["paid"]), ..stored.clone() }, "not given sent"),
        ] {
            let Fit::Changed(told) = changed.fit(&stored) else { panic!("{changed:?}") };
            assert!(told.contains(word), "{told}");
        }
    }
}
