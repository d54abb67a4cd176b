//! A service that works: a handler that delivers what it is sent to a file, a pump that writes the log to another, and
//! a subscriber that counts. The files are in the folder that `POST_FOLDER` names.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use underlay::ports::SystemClock;
use underlay::{
    BusSubscription, Clock, Delivery, Exit, Handled, Handler, HandlerError, RecordedEvent, Service, Sink,
    Subscriber, async_trait,
};

#[underlay::event]
enum Note {
    #[event(name = "note", version = 1)]
    Sent { text: String },
}

/// Writes a line into a file of the folder.
fn write(file: &str, line: &str) -> Result<(), HandlerError> {
    let folder = std::env::var("POST_FOLDER").map_err(HandlerError::last)?;
    let opened = OpenOptions::new().create(true).append(true).open(Path::new(&folder).join(file));
    opened.and_then(|mut file| writeln!(file, "{line}")).map_err(HandlerError::passing)
}

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

struct ToFile(&'static str);

#[async_trait]
impl Sink for ToFile {
    async fn take(&self, events: &[RecordedEvent]) -> Result<(), HandlerError> {
        events.iter().try_for_each(|event| write(self.0, &event.position.to_string()))
    }
}

#[async_trait]
impl Subscriber for ToFile {
    async fn take(&self, event: &RecordedEvent) -> Result<(), HandlerError> {
        write(self.0, &event.position.to_string())
    }
}

fn main() -> Exit {
    Service::new("post")
        .handler(Mailer)
        .pump("copy", ToFile("copied"))
        .subscriber(BusSubscription::new("feed"), ToFile("fed"))
        .main()
}
