//! The log as a JSON object on each line, for programs that collect logs.
//!
//! ```text
//!  {"time":…,"level":…,"target":…,"message":…, what the line says itself, and what is known around it}
//! ```
//!
//! What is known around a line comes from the spans it stands in, such as the tenant and the id of a request. All of it
//! stands in one object, the innermost last said. A field `id` has the name of its span, so that of a request is `request`.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;
use underlay_core::Timestamp;

/// What every line has, in this order.
const OF_EVERY_LINE: [&str; 4] = ["time", "level", "target", "message"];

/// Writes each line of the log as an object.
pub(super) struct JsonLines {
    now: fn() -> Timestamp,
}

/// Keeps the fields of a span as an object.
pub(super) struct JsonFields;

/// A line that comes from nowhere else.
pub(super) fn json_line(time: Timestamp, level: &str, target: &str, message: &str) -> String {
    let head = [time.to_string().into(), level.into(), target.into(), message.into()];
    format!("{{{}}}\n", written(head))
}

/// What every line has, as members of its object.
fn written(head: [Value; 4]) -> String {
    let members: Vec<String> =
        OF_EVERY_LINE.iter().zip(head).map(|(name, value)| format!("\"{name}\":{value}")).collect();
    members.join(",")
}

impl JsonLines {
    pub(super) fn at(now: fn() -> Timestamp) -> Self {
        Self { now }
    }
}

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Fields::default();
        event.record(&mut said);
        let message = said.0.remove("message").unwrap_or_else(|| Value::from(""));
        let about = event.metadata();
        let head: [Value; 4] =
            [(self.now)().to_string().into(), about.level().as_str().into(), about.target().into(), message];
        let mut known = BTreeMap::new();
        for span in context.event_scope().into_iter().flat_map(tracing_subscriber::registry::Scope::from_root)
        {
            let extensions = span.extensions();
            let Some(fields) = extensions.get::<FormattedFields<JsonFields>>() else { continue };
            for (name, value) in read(&fields.fields) {
                let name = if name == "id" { span.name().to_owned() } else { name };
                known.insert(name, value);
            }
        }
        known.extend(said.0);
        write!(writer, "{{{}", written(head))?;
        for (name, value) in known {
            // What every line has is said once.
            let mark = if OF_EVERY_LINE.contains(&name.as_str()) { "_" } else { "" };
            write!(writer, ",{}:{value}", Value::from(format!("{name}{mark}")))?;
        }
        writeln!(writer, "}}")
    }
}

impl<'writer> FormatFields<'writer> for JsonFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut said = Fields::default();
        fields.record(&mut said);
        write!(writer, "{}", Value::Object(said.0))
    }

    fn add_fields(&self, current: &'writer mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let mut said = Fields(read(&current.fields));
        fields.record(&mut said);
        current.fields = Value::Object(said.0).to_string();
        Ok(())
    }
}

/// Fields as they were kept.
fn read(kept: &str) -> Map<String, Value> {
    serde_json::from_str(kept).unwrap_or_default()
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(log: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let lines = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || lines.clone())
            .fmt_fields(JsonFields)
            .event_format(JsonLines::at(|| Timestamp::UNIX_EPOCH))
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let written = written.0.lock().unwrap().clone();
        String::from_utf8(written).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_is_one_object_with_what_is_known_around_it() {
        let lines = logged(|| {
            let request =
                tracing::error_span!("request", id = "r1", trace = "t1", tenant = tracing::field::Empty);
            let _in_request = request.enter();
            request.record("tenant", "acme");
            let _in_command =
                tracing::error_span!("command", stream = "account-1", command = "deposit").entered();
            tracing::warn!(target: "bank", attempts = 3_u64, whole = true, "it was \"late\"\nby {}", "far");
        });
        let expected = r#"{"time":"1970-01-01T00:00:00Z","level":"WARN","target":"bank","message":"it was \"late\"\nby far","#
            .to_owned()
            + r#""attempts":3,"command":"deposit","request":"r1","stream":"account-1","tenant":"acme","trace":"t1","whole":true}"#;
        assert_eq!(lines, [expected]);
    }

    #[test]
    fn nothing_takes_the_place_of_what_every_line_has() {
        let lines = logged(
            || tracing::warn!(target: "bank", level = "none", time = 1_u64, text = "\u{1b}[2J", "said"),
        );
        let line: Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!((&line["level"], &line["time"]), (&"WARN".into(), &"1970-01-01T00:00:00Z".into()));
        assert_eq!((&line["level_"], &line["time_"]), (&"none".into(), &1.into()));
        assert!(!lines[0].contains('\u{1b}'), "a terminal is given no orders: {}", lines[0]);
    }
}
