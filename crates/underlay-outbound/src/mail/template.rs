//! What mail says, written beside the domain: a subject, a text, and the same in HTML where there is any.
//!
//! The text begins with the subject, in a line of its own, and an empty line:
//!
//! ```text
//! Subject: Welcome to {{ bank }}
//!
//! Hello {{ name }},
//! follow this link: {{ link }}
//! ```
//!
//! Values are escaped in HTML. In the subject a line break or another control character of a value is a blank,
//! so no value begins another header. The language is that of [minijinja](https://docs.rs/minijinja), without
//! inheritance and includes: `{{ value }}`, `{% if … %}`, `{% for … %}`, and filters.

use std::borrow::Cow;
use std::marker::PhantomData;

use minijinja::value::{Serde, ValueKind};
use minijinja::{AutoEscape, Environment, ErrorKind, Output, State, UndefinedBehavior, Value};
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use underlay_core::{Email, Error, Mailbox};

const SUBJECT: &str = "subject";
const TEXT: &str = "text";
const HTML: &str = "HTML";
/// How values are escaped in a subject.
const ONE_LINE: AutoEscape = AutoEscape::Custom(Cow::Borrowed("one line"));

/// A template for mail that shows values of `T`.
///
/// It is checked as it is made, so a service makes all of its templates at its start: what is no template, a
/// name that `T` does not have, and a filter that there is none of, are errors then. A value that is missing
/// where it is shown is an error of the mail.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::Serialize;
/// use underlay_core::Mailbox;
/// use underlay_outbound::mail::Template;
///
/// #[derive(Serialize, JsonSchema)]
/// struct Welcome {
///     name: String,
/// }
///
/// let template = Template::<Welcome>::new("welcome", "Subject: Welcome, {{ name }}\n\nHello {{ name }}.\n")?
///     .with_html("<p>Hello {{ name }}.</p>")?;
/// let mail = template.render(Mailbox::new("ann@example.com")?, &Welcome { name: "Ann & Co".to_owned() })?;
/// assert_eq!(mail.subject(), "Welcome, Ann & Co");
/// assert_eq!(mail.html(), Some("<p>Hello Ann &amp; Co.</p>\n"));
/// assert!(Template::<Welcome>::new("typo", "Subject: Hello\n\n{{ nmae }}").is_err());
/// # Ok::<(), underlay_core::Error>(())
/// ```
pub struct Template<T> {
    name: &'static str,
    environment: Environment<'static>,
    has_html: bool,
    of: PhantomData<fn(&T)>,
}

impl<T> std::fmt::Debug for Template<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Template")
            .field("name", &self.name)
            .field("has_html", &self.has_html)
            .finish_non_exhaustive()
    }
}

impl<T: Serialize + JsonSchema> Template<T> {
    /// Reads a template: the subject and the text. `name` names it in errors.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the line of what is wrong.
    pub fn new(name: &'static str, source: &'static str) -> Result<Self, Error> {
        let (subject, text) = parts_of(source).ok_or_else(|| {
            Error::invalid(format!(
                "template {name}: it begins with a line `Subject: …` and an empty line, and the text follows"
            ))
        })?;
        let environment = environment(UndefinedBehavior::Strict);
        let template = Self { name, environment, has_html: false, of: PhantomData };
        template.with_part(SUBJECT, subject)?.with_part(TEXT, text)
    }

    /// Adds the same in HTML.
    ///
    /// # Errors
    /// As [`Template::new`].
    pub fn with_html(mut self, source: &'static str) -> Result<Self, Error> {
        self.has_html = true;
        self.with_part(HTML, source)
    }

    /// Writes a mail with values in it. Who sends it and where answers go to may be added to it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a value is missing, or what comes of it is no mail.
    pub fn render(&self, to: Mailbox, values: &T) -> Result<Email, Error> {
        let values = Value::from(Serde(values));
        let subject = self.rendered(SUBJECT, &values)?;
        let mail = Email::new(to, subject.trim(), &self.rendered(TEXT, &values)?);
        let mail = mail.map_err(|error| self.wrong(TEXT, &error))?;
        if !self.has_html {
            return Ok(mail);
        }
        mail.with_html(&self.rendered(HTML, &values)?).map_err(|error| self.wrong(HTML, &error))
    }

    fn with_part(mut self, part: &'static str, source: &'static str) -> Result<Self, Error> {
        let added = self.environment.add_template(part, source);
        added.map_err(|error| self.wrong(part, &Told(&error)))?;
        let names = self.template(part)?.undeclared_variables(true);
        let schema = schemars::generate::SchemaSettings::draft2020_12()
            .with(|settings| settings.inline_subschemas = true)
            .for_serialize()
            .into_generator()
            .into_root_schema_for::<T>();
        let mut unknown: Vec<String> = names.into_iter().filter(|name| !has_value(&schema, name)).collect();
        unknown.sort();
        if let Some(unknown) = unknown.first() {
            return Err(self.wrong(part, &format_args!("there is no value {unknown}")));
        }
        self.check_filters(part, source)?;
        Ok(self)
    }

    /// Finds filters, tests and functions there are none of, as far as a template comes without values.
    fn check_filters(&self, part: &'static str, source: &'static str) -> Result<(), Error> {
        let lenient = environment(UndefinedBehavior::Chainable);
        match lenient.render_named_str(part, source, Value::from(())) {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction
                ) =>
            {
                Err(self.wrong(part, &Told(&error)))
            }
            _ => Ok(()),
        }
    }

    fn template(&self, part: &'static str) -> Result<minijinja::Template<'_, '_>, Error> {
        self.environment.get_template(part).map_err(|error| self.wrong(part, &Told(&error)))
    }

    fn rendered(&self, part: &'static str, values: &Value) -> Result<String, Error> {
        self.template(part)?.render(values).map_err(|error| self.wrong(part, &Told(&error)))
    }

    fn wrong(&self, part: &str, why: &dyn std::fmt::Display) -> Error {
        Error::invalid(format!("the {part} of template {}: {why}", self.name))
    }
}

/// What is wrong with a template, with its line.
struct Told<'a>(&'a minijinja::Error);

impl std::fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.kind())?;
        if let Some(detail) = self.0.detail() {
            write!(f, ": {detail}")?;
        }
        match self.0.line() {
            Some(line) => write!(f, " (line {line})"),
            None => Ok(()),
        }
    }
}

/// The subject of a source, and the text below it.
fn parts_of(source: &'static str) -> Option<(&'static str, &'static str)> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let (subject, rest) = source.strip_prefix("Subject:")?.split_once('\n')?;
    let text = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n'))?;
    Some((subject.trim(), text))
}

fn environment(undefined: UndefinedBehavior) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(undefined);
    environment.set_auto_escape_callback(|part| match part {
        HTML => AutoEscape::Html,
        SUBJECT => ONE_LINE,
        _ => AutoEscape::None,
    });
    environment.set_formatter(shown);
    environment
}

/// Writes a value where a template shows it.
fn shown(output: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    if value.kind() == ValueKind::None {
        return Err(minijinja::Error::new(ErrorKind::UndefinedError, "a value that is shown is none"));
    }
    if *state.auto_escape() != ONE_LINE {
        return minijinja::escape_formatter(output, state, value);
    }
    let is_break = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let line = value.to_string().replace(is_break, " ");
    output.write_str(&line).map_err(minijinja::Error::from)
}

/// Whether values have a name such as `member.name`. What a schema does not say is believed.
fn has_value(schema: &Schema, name: &str) -> bool {
    has_property(schema.as_value(), &mut name.split('.'))
}

fn has_property<'a>(schema: &serde_json::Value, names: &mut (impl Iterator<Item = &'a str> + Clone)) -> bool {
    let branches = ["anyOf", "oneOf", "allOf"].iter().filter_map(|key| schema.get(key)?.as_array());
    let branches: Vec<&serde_json::Value> = branches.flatten().collect();
    let own = schema.get("properties").and_then(|properties| properties.as_object());
    if own.is_none() && branches.is_empty() {
        return true;
    }
    let mut rest = names.clone();
    let Some(name) = rest.next() else { return true };
    let in_own = own.and_then(|own| own.get(name)).is_some_and(|schema| has_property(schema, &mut rest));
    let of_object = |branch: &&serde_json::Value| branch.get("type").is_none_or(|kind| kind != "null");
    in_own || branches.into_iter().filter(of_object).any(|branch| has_property(branch, &mut names.clone()))
}
