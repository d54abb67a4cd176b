//! A service that works: a handler delivers the letters that are written into a file, a pump copies the log into
//! another, and a subscriber notes what it is given in a third. They are in the folder that `POST_FOLDER` names.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use underlay::domain::Outgoing;
use underlay::ports::SystemClock;
use underlay::{
    Aggregate, BusSubscription, Clock, Context, Decision, Delivery, Exit, Handled, Handler, HandlerError,
    RecordedEvent, Service, Sink, Subscriber, async_trait,
};

#[underlay::event]
enum LetterEvent {
    #[event(name = "written", version = 1)]
    Written { text: String },
}

#[underlay::command]
enum LetterCommand {
    #[command(name = "write")]
    Write { text: String },
}

#[underlay::refusal(code = "empty", message = "there is nothing in it")]
struct Empty;

#[derive(Clone, Default)]
struct Letter;

// region: message
/// What the handler is sent. It is stored, so it has a name and a version as an event has.
#[underlay::event]
enum Note {
    #[event(name = "note", version = 1)]
    Sent { text: String },
}

impl Aggregate for Letter {
    const CATEGORY: &'static str = "letter";
    type Id = String;
    type Command = LetterCommand;
    type Event = LetterEvent;
    type Refusal = Empty;

    fn decide(&self, command: LetterCommand, _: &Context) -> Result<Decision<LetterEvent>, Empty> {
        let LetterCommand::Write { text } = command;
        if text.is_empty() {
            return Err(Empty);
        }
        let note = Outgoing::message::<Mailer>(&text, &Note::Sent { text: text.clone() });
        Ok(Decision::from(LetterEvent::Written { text }).send(note))
    }

    fn evolve(&mut self, _: &LetterEvent) {}
}
// endregion: message

/// Writes a line into a file of the folder.
fn write(file: &str, line: &str) -> Result<(), HandlerError> {
    let folder = std::env::var("POST_FOLDER").map_err(HandlerError::last)?;
    let opened = OpenOptions::new().create(true).append(true).open(Path::new(&folder).join(file));
    opened.and_then(|mut file| writeln!(file, "{line}")).map_err(HandlerError::passing)
}

// region: handler
struct Mailer;

impl Handler for Mailer {
    const NAME: &'static str = "mailer";
    type Message = Note;

    async fn handle(&self, Note::Sent { text }: Note, _: &Delivery) -> Result<Handled, HandlerError> {
        write("begun", &text)?;
        match text.as_str() {
            text if text.starts_with("bad") => return Err(HandlerError::last("no such address")),
            "slow" => SystemClock.sleep(Duration::from_secs(2)).await,
            "hang" => SystemClock.sleep(Duration::from_secs(3_600)).await,
            _ => {}
        }
        write("delivered", &text)?;
        Ok(Handled::done())
    }
}
// endregion: handler

// region: sink
struct ToFile(&'static str);

#[async_trait]
impl Sink for ToFile {
    async fn take(&self, events: &[RecordedEvent]) -> Result<(), HandlerError> {
        events.iter().try_for_each(|event| write(self.0, &event.position.to_string()))
    }
}
// endregion: sink

#[async_trait]
impl Subscriber for ToFile {
    async fn take(&self, event: &RecordedEvent) -> Result<(), HandlerError> {
        write(self.0, &event.position.to_string())
    }
}

// region: service
fn main() -> Exit {
    Service::new("post")
        .aggregate::<Letter>()
        .handler(Mailer)
        .pump("copy", ToFile("copied"))
        .subscriber(BusSubscription::new("feed"), ToFile("fed"))
        .main()
}
// endregion: service
