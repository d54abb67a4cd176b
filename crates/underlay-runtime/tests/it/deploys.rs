//! Two versions of a service over one store: a command sent again to the newer one is known.

use underlay_core::memory::{MemoryEventStore, MemoryReadModels, MemorySnapshots};
use underlay_core::{CommitId, Error, Operation};
use underlay_runtime::{ExecuteNamedError, Registry};

use crate::bank::{Bank, request};

/// A version of the service: the same names, other fields.
macro_rules! version {
    ($version:ident: $($field:ident: $kind:ty),*) => {
        mod $version {
            use underlay_core::{Aggregate, Context, Decision, Error, Reads, Streams};
            use underlay_derive::{command, event, refusal, value};

            use super::*;

            #[event(crate = underlay_core)]
            pub enum NoteEvent {
                #[event(name = "noted", version = 1)]
                Noted { text: String },
            }

            #[command(crate = underlay_core)]
            pub enum NoteCommand {
                #[command(name = "note")]
                Note { text: String, $($field: $kind),* },
                #[command(name = "clear")]
                Clear,
            }

            #[refusal(crate = underlay_core)]
            pub enum NoteRefusal {
                #[refusal(code = "never", message = "never")]
                Never,
            }

            #[derive(Clone, Default)]
            pub struct Note;

            impl Aggregate for Note {
                const CATEGORY: &'static str = "note";
                type Id = String;
                type Command = NoteCommand;
                type Event = NoteEvent;
                type Refusal = NoteRefusal;

                fn decide(&self, command: NoteCommand, _: &Context) -> Result<Decision<NoteEvent>, NoteRefusal> {
                    let text = match command {
                        NoteCommand::Note { text, .. } => text,
                        NoteCommand::Clear => String::new(),
                    };
                    Ok(NoteEvent::Noted { text }.into())
                }

                fn evolve(&mut self, _: &NoteEvent) {}
            }

            #[value(crate = underlay_core)]
            pub struct Copy {
                pub to: Vec<String>,
                $(pub $field: $kind),*
            }

            impl Operation for Copy {
                const NAME: &'static str = "copy";
                type Refusal = NoteRefusal;

                fn reads(&self, reads: &mut Reads) -> Result<(), Error> {
                    self.to.iter().try_for_each(|to| reads.stream::<Note>(to))
                }

                fn decide(&self, streams: &mut Streams, _: &Context) -> Result<(), NoteRefusal> {
                    for to in &self.to {
                        streams.append::<Note>(to, NoteEvent::Noted { text: "copied".to_owned() });
                    }
                    Ok(())
                }
            }

            pub fn bank(store: &MemoryEventStore) -> Bank {
                let registry = Registry::default().aggregate::<Note>().operation::<Copy>();
                let (read_models, snapshots) = (MemoryReadModels::default(), MemorySnapshots::default());
                Bank::over(store.clone(), read_models, snapshots, registry)
            }
        }
    };
}

version!(older:);
version!(newer: color: Option<String>, due: Option<i64>);

#[tokio::test]
async fn a_command_sent_again_to_a_newer_version_gets_its_first_answer() {
    let store = MemoryEventStore::default();
    let (older, newer) = (older::bank(&store).engine, newer::bank(&store).engine);
    let asked = request().with_key("k");
    let first = older.execute_named(&asked, "note", "a", "note", r#"{"text":"x"}"#).await.unwrap();
    for body in [r#"{"text":"x"}"#, " { \"text\" : \"\\u0078\" }"] {
        let again = newer.execute_named(&asked, "note", "a", "note", body).await.unwrap();
        assert!(again.repeated && again.position == first.position, "{body}");
    }
    // What was asked of the newer one alone is something else.
    for body in [r#"{"text":"x","color":"red"}"#, r#"{"text":"x","color":null}"#, r#"{"text":"y"}"#] {
        let other = newer.execute_named(&asked, "note", "a", "note", body).await;
        assert!(matches!(other, Err(ExecuteNamedError::Failed(Error::IdReused(_)))), "{body}: {other:?}");
    }
    // So is another stream, and another command.
    let elsewhere = newer.execute_named(&asked, "note", "b", "note", r#"{"text":"x"}"#).await;
    assert!(matches!(elsewhere, Err(ExecuteNamedError::Failed(Error::IdReused(_)))), "{elsewhere:?}");

    let asked = request().with_key("nothing");
    older.execute_named(&asked, "note", "a", "clear", "").await.unwrap();
    assert!(newer.execute_named(&asked, "note", "a", "clear", "{}").await.unwrap().repeated);
}

#[tokio::test]
async fn an_operation_sent_again_to_a_newer_version_gets_its_first_answer() {
    let store = MemoryEventStore::default();
    let (older, newer) = (older::bank(&store).engine, newer::bank(&store).engine);
    let asked = request().with_key("k");
    older.operate_named(&asked, "copy", r#"{"to":["a"]}"#).await.unwrap();
    assert!(newer.operate_named(&asked, "copy", r#"{"to":["a"]}"#).await.unwrap().repeated);
    let other = newer.operate_named(&asked, "copy", r#"{"to":["a"],"due":1}"#).await;
    assert!(matches!(other, Err(ExecuteNamedError::Failed(Error::IdReused(_)))), "{other:?}");
}

#[tokio::test]
async fn typed_calls_may_get_optional_fields() {
    let store = MemoryEventStore::default();
    let (older, newer) = (older::bank(&store).engine, newer::bank(&store).engine);
    let (asked, id) = (request().with_command_id(CommitId::draw()), "a".to_owned());
    let command = older::NoteCommand::Note { text: "x".to_owned() };
    older.execute::<older::Note>(&asked, &id, command).await.unwrap();
    let note = |color: Option<&str>| newer::NoteCommand::Note {
        text: "x".to_owned(),
        color: color.map(str::to_owned),
        due: None,
    };
    assert!(newer.execute::<newer::Note>(&asked, &id, note(None)).await.unwrap().repeated);
    assert!(newer.execute::<newer::Note>(&asked, &id, note(Some("red"))).await.is_err());
    // By its name it is the same command.
    assert!(newer.execute_named(&asked, "note", "a", "note", r#"{"text":"x"}"#).await.unwrap().repeated);

    let asked = request().with_command_id(CommitId::draw());
    older.operate(&asked, older::Copy { to: vec![id.clone()] }).await.unwrap();
    let copy = newer::Copy { to: vec![id], color: None, due: None };
    assert!(newer.operate(&asked, copy).await.unwrap().repeated);
}

#[tokio::test]
async fn a_body_that_is_nested_too_deep_is_refused_by_the_name_of_the_limit() {
    let bank = older::bank(&MemoryEventStore::default());
    let body = format!(r#"{{"to":["a"],"more":{}1{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    let refused = bank.engine.operate_named(&request(), "copy", &body).await.unwrap_err();
    assert!(
        matches!(&refused, ExecuteNamedError::Failed(Error::Invalid(text)) if text.contains("JSON_DEPTH_MAX"))
    );
    assert_eq!(bank.stream_version("a").await, 0);
}
