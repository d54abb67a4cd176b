//! The instances of all processes as a view: what lists them. The engine adds it where there is a process.

use std::fmt;

use underlay_core::{
    Column, ColumnType, ColumnValue, DecodeError, Error, Event, EventDescriptor, Json, Keys, Recorded, Row,
    RowValues, Timestamp, Value, View,
};

use super::instance::{CATEGORY_PREFIX, STEP_TYPE, STEP_VERSION, StepTaken};

/// Bytes of the words for what an instance waits for.
const WAITS_FOR_BYTES_MAX: usize = 200;

impl Event for StepTaken {
    fn descriptors() -> Vec<EventDescriptor> {
        vec![EventDescriptor { name: STEP_TYPE, version: STEP_VERSION }]
    }

    fn schemas() -> Vec<Json> {
        // What users declare of it is the state, which has a schema of its own.
        vec![Json::from_stored("true")]
    }

    fn descriptor(&self) -> EventDescriptor {
        EventDescriptor { name: STEP_TYPE, version: STEP_VERSION }
    }

    fn encode(&self) -> Result<Json, Error> {
        Json::encode(self)
    }

    fn decode(event_type: &str, schema_version: u32, payload: &str) -> Result<Option<Self>, DecodeError> {
        if event_type != STEP_TYPE {
            return Ok(None);
        }
        let fault =
            |reason: String| DecodeError { event_type: event_type.to_owned(), schema_version, reason };
        if schema_version != STEP_VERSION {
            return Err(fault(format!("this program reads version {STEP_VERSION}")));
        }
        let read = Json::from_stored(payload).decode();
        read.map(Some).map_err(|error| fault(error.to_string()))
    }
}

/// What tells instances apart: the process, then the instance. No process has a `/` in its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct InstanceKey {
    pub(crate) process: String,
    pub(crate) instance: String,
}

impl fmt::Display for InstanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.process, self.instance)
    }
}

/// An instance in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InstanceRow {
    pub(crate) process: String,
    /// The process and the word for the instance, which a list asks for together.
    pub(crate) standing: String,
    pub(crate) instance: String,
    pub(crate) waits_for: String,
    pub(crate) next_due_at: Option<Timestamp>,
    pub(crate) steps: i64,
    pub(crate) began_at: Timestamp,
    pub(crate) changed_at: Timestamp,
}

/// The words of a list for one process.
pub(crate) fn standing_of(process: &str, is_finished: bool) -> String {
    format!("{process}/{}", if is_finished { "finished" } else { "open" })
}

impl Row for InstanceRow {
    fn columns() -> Vec<Column> {
        let column = |name: &str, column_type, indexed| Column {
            name: name.to_owned(),
            column_type,
            nullable: false,
            indexed,
        };
        vec![
            column("process", ColumnType::Text, true),
            column("standing", ColumnType::Text, true),
            column("instance", ColumnType::Text, false),
            column("waits_for", ColumnType::Text, false),
            Column { nullable: true, ..column("next_due_at", ColumnType::Timestamp, false) },
            column("steps", ColumnType::Integer, false),
            column("began_at", ColumnType::Timestamp, false),
            column("changed_at", ColumnType::Timestamp, false),
        ]
    }

    fn into_values(self) -> RowValues {
        vec![
            Value::Text(self.process),
            Value::Text(self.standing),
            Value::Text(self.instance),
            Value::Text(self.waits_for),
            self.next_due_at.into_value(),
            Value::Integer(self.steps),
            Value::Timestamp(self.began_at),
            Value::Timestamp(self.changed_at),
        ]
    }

    fn from_values(values: RowValues) -> Result<Self, &'static str> {
        fn next<T: ColumnValue>(
            values: &mut impl Iterator<Item = Value>,
            name: &'static str,
        ) -> Result<T, &'static str> {
            values.next().and_then(T::from_value).ok_or(name)
        }
        let mut values = values.into_iter();
        Ok(Self {
            process: next(&mut values, "process")?,
            standing: next(&mut values, "standing")?,
            instance: next(&mut values, "instance")?,
            waits_for: next(&mut values, "waits_for")?,
            next_due_at: next(&mut values, "next_due_at")?,
            steps: next(&mut values, "steps")?,
            began_at: next(&mut values, "began_at")?,
            changed_at: next(&mut values, "changed_at")?,
        })
    }
}

/// One row for every instance of every process.
pub(crate) struct InstancesView;

impl View for InstancesView {
    const NAME: &'static str = "underlay_process_instances";
    /// It holds what operators may see.
    const ROLES: &'static [&'static str] = &["operator"];
    type Event = StepTaken;
    type Key = InstanceKey;
    type Row = InstanceRow;

    fn route(&self, event: &Recorded<StepTaken>, keys: &mut Keys<InstanceKey>) {
        if let Some(process) = event.stream().category().strip_prefix(CATEGORY_PREFIX) {
            keys.push(InstanceKey { process: process.to_owned(), instance: event.stream().id().to_owned() });
        }
    }

    fn fold(
        &self,
        key: &InstanceKey,
        _: Option<InstanceRow>,
        event: &Recorded<StepTaken>,
    ) -> Option<InstanceRow> {
        let step = &event.event;
        let mut waits_for = step.waits_for().collect::<Vec<_>>().join(", ").replace('\0', "\u{fffd}");
        waits_for.truncate(waits_for.floor_char_boundary(WAITS_FOR_BYTES_MAX));
        Some(InstanceRow {
            process: key.process.clone(),
            standing: standing_of(&key.process, step.is_finished),
            instance: key.instance.clone(),
            waits_for,
            next_due_at: step.timers.values().map(|timer| timer.due_at).min(),
            steps: i64::try_from(event.version().0).unwrap_or(i64::MAX),
            began_at: step.began_at,
            changed_at: event.recorded_at(),
        })
    }
}
