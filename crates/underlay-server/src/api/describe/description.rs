//! How an address is described.

use serde_json::{Value, json};

use crate::ServerConfig;

/// What is said of an address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Description {
    /// What clients made from the document call it.
    pub(super) id: &'static str,
    /// Under which heading it stands.
    pub(super) group: Group,
    /// What it does, in a few words.
    pub(super) summary: &'static str,
    /// What else is worth knowing.
    pub(super) about: &'static str,
    pub(super) parameters: &'static [Parameter],
    /// The schema of its body, by name.
    pub(super) body: Option<&'static str>,
    pub(super) answers: &'static [(u16, Told)],
    /// The media types that it is also answered as, where `Accept` asks for one.
    pub(super) also_as: &'static [&'static str],
    /// The addresses that its answers lead to.
    pub(super) links: &'static [Link],
    /// The problems it may answer with, beside those that every address may.
    pub(super) problems: &'static [u16],
}

impl Description {
    pub(super) const fn new(id: &'static str, group: Group, summary: &'static str) -> Self {
        Self {
            id,
            group,
            summary,
            about: "",
            parameters: &[],
            body: None,
            answers: &[],
            also_as: &[],
            links: &[],
            problems: &[],
        }
    }

    pub(super) const fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    pub(super) const fn takes(self, parameters: &'static [Parameter]) -> Self {
        Self { parameters, ..self }
    }

    pub(super) const fn with_body(self, schema: &'static str) -> Self {
        Self { body: Some(schema), ..self }
    }

    pub(super) const fn answers(self, answers: &'static [(u16, Told)]) -> Self {
        Self { answers, ..self }
    }

    pub(super) const fn also_as(self, also_as: &'static [&'static str]) -> Self {
        Self { also_as, ..self }
    }

    pub(super) const fn leads_to(self, links: &'static [Link]) -> Self {
        Self { links, ..self }
    }

    pub(super) const fn problems(self, problems: &'static [u16]) -> Self {
        Self { problems, ..self }
    }
}

/// That an answer holds what another address takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// The status of the answer.
    pub(super) status: u16,
    /// The id of the other description.
    pub(super) to: &'static str,
    /// What the other one takes, and where it stands in this answer or its request, as OpenAPI writes both.
    pub(super) takes: (&'static str, &'static str),
}

impl Link {
    pub(super) const fn new(
        status: u16,
        to: &'static str,
        parameter: &'static str,
        from: &'static str,
    ) -> Self {
        Self { status, to, takes: (parameter, from) }
    }

    /// As the document has it.
    pub(super) fn told(&self) -> Value {
        let (parameter, from) = self.takes;
        json!({ "operationId": self.to, "parameters": { parameter: from } })
    }
}

/// What addresses are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Commands,
    Operations,
    Log,
    Views,
    Entities,
    Work,
    Service,
}

impl Group {
    /// Every group, in the order they are shown.
    pub(super) const ALL: [Self; 7] =
        [Self::Commands, Self::Operations, Self::Log, Self::Views, Self::Entities, Self::Work, Self::Service];

    /// Its heading.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Commands => "Commands",
            Self::Operations => "Operations",
            Self::Log => "Events",
            Self::Views => "Views",
            Self::Entities => "Entities",
            Self::Work => "Work",
            Self::Service => "The service",
        }
    }

    /// A sentence about it.
    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Commands => "What can be asked of one aggregate, and what became of it.",
            Self::Operations => "What is decided over several aggregates, and stored in one commit.",
            Self::Log => "What happened, as it is stored.",
            Self::Views => "What is read: rows that follow the events.",
            Self::Entities => {
                "What is stored as it is: read by id or by query, and changed at the version that was seen."
            }
            Self::Work => "What waits to be done, for operators.",
            Self::Service => "What the service says of itself.",
        }
    }
}

/// What an answer holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told {
    /// JSON of a schema, by its name.
    Json(&'static str),
    /// JSON of no schema of ours.
    AnyJson,
    /// A page for people.
    Html,
    /// A file of a page.
    File(&'static str),
    /// No body.
    Nothing,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
}

impl Place {
    fn word(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
        }
    }
}

/// Something that varies in a request beside its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    name: &'static str,
    place: Place,
    shape: Shape,
    about: &'static str,
    is_required: bool,
    repeats: bool,
}

impl Parameter {
    pub(super) const fn path(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self { name, place: Place::Path, shape, about, is_required: true, repeats: false }
    }

    pub(super) const fn query(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self { name, place: Place::Query, shape, about, is_required: false, repeats: false }
    }

    pub(super) const fn header(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self { name, place: Place::Header, shape, about, is_required: false, repeats: false }
    }

    pub(super) const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    pub(super) const fn repeats(self) -> Self {
        Self { repeats: true, ..self }
    }

    /// As the document has it.
    pub(super) fn told(&self, config: &ServerConfig) -> Value {
        let schema = self.shape.schema(config);
        let schema = if self.repeats { json!({ "type": "array", "items": schema }) } else { schema };
        json!({
            "name": self.name,
            "in": self.place.word(),
            "description": self.about,
            "required": self.is_required,
            "schema": schema,
        })
    }
}

/// What values a parameter has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// Any text that is not empty.
    Name,
    /// Any text.
    Text,
    /// A text of this form.
    Pattern(&'static str),
    /// A schema of the document, by its name.
    Of(&'static str),
    /// A whole number from zero on.
    Number,
    /// A whole number from one on.
    FromOne,
    /// How many there are in one page.
    Limit { default: usize, max: fn(&ServerConfig) -> usize },
    /// How long a query waits, in seconds.
    Wait,
    /// One of these words.
    Word(&'static [&'static str]),
}

impl Shape {
    fn schema(self, config: &ServerConfig) -> Value {
        match self {
            Self::Name => json!({ "type": "string", "minLength": 1 }),
            Self::Text => json!({ "type": "string" }),
            Self::Pattern(pattern) => json!({ "type": "string", "pattern": pattern }),
            Self::Of(name) => json!({ "$ref": format!("#/components/schemas/{name}") }),
            Self::Number => json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }),
            Self::FromOne => json!({ "type": "integer", "minimum": 1, "maximum": u64::MAX }),
            Self::Limit { default, max } => {
                let max = max(config);
                json!({ "type": "integer", "minimum": 1, "maximum": max, "default": default.min(max) })
            }
            Self::Wait => json!({ "type": "integer", "minimum": 1, "maximum": config.wait_max.as_secs() }),
            Self::Word(words) => json!({ "enum": words }),
        }
    }
}
