use underlay_core::{Aggregate, Command, Json, Operation, Refusal};

use super::Registry;

/// What can be asked of a service by its name, with the JSON Schemas of what is sent and of the ways it says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionInfo {
    /// The category of the aggregate that decides; none of an operation.
    pub category: Option<&'static str>,
    /// The name of the command or the operation.
    pub name: &'static str,
    /// Who comes in from outside needs one of these roles; none are needed where there are none.
    pub roles: &'static [&'static str],
    /// The JSON Schema of its body.
    pub body: Json,
    /// The code of each refusal, and the JSON Schema of its members.
    pub refusals: Vec<(&'static str, Json)>,
}

impl DecisionInfo {
    pub(super) fn of_aggregate<A: Aggregate>() -> Vec<Self> {
        let refusals = refusals::<A::Refusal>();
        let commands = A::Command::descriptors().into_iter().zip(A::Command::schemas());
        let decision = |(command, body): (underlay_core::CommandDescriptor, Json)| Self {
            category: Some(A::CATEGORY),
            name: command.name,
            roles: command.roles,
            body,
            refusals: refusals.clone(),
        };
        commands.map(decision).collect()
    }

    pub(super) fn of_operation<O: Operation>() -> Self {
        Self {
            category: None,
            name: O::NAME,
            roles: O::ROLES,
            body: O::body_schema(),
            refusals: refusals::<O::Refusal>(),
        }
    }
}

fn refusals<R: Refusal>() -> Vec<(&'static str, Json)> {
    R::codes().into_iter().zip(R::schemas()).collect()
}

impl Registry {
    /// The commands of the aggregates, by category, and then the operations, by name.
    #[must_use]
    pub fn decisions(&self) -> Vec<DecisionInfo> {
        let of_aggregates = self.aggregates.values().flat_map(|entry| entry.decisions());
        of_aggregates.chain(self.operations.values().map(|entry| entry.decision())).collect()
    }
}
