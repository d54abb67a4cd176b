//! A service that works: a handler delivers the letters that are written into a file, a pump copies the log into
//! another, and a subscriber notes what it is given in a third. They are in the folder that `POST_FOLDER` names.
//!
//! A process reminds of letters that nobody answers, each letter is archived after a month, and `post begin` puts a
//! schedule and leaves a letter for later.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use underlay::domain::Outgoing;
use underlay::ports::SystemClock;
use underlay::{
    Aggregate, App, BusSubscription, CliCommand, Clock, Context, Decision, Delivery, Draw, Drawing, Engine,
    Error, ExecuteNamedError, Exit, ExitError, Handled, Handler, HandlerError, Input, Missed, Process,
    Recorded, RecordedEvent, Request, ScheduleDefinition, Service, Sink, Step, StepContext, SubmitOptions,
    Submitted, Subscriber, TenantId, async_trait, clap,
};

#[underlay::event]
enum LetterEvent {
    #[event(name = "written", version = 1)]
    Written { text: String },
    #[event(name = "answered", version = 1)]
    Answered,
    #[event(name = "archived", version = 1)]
    Archived,
}

#[underlay::command]
enum LetterCommand {
    #[command(name = "write")]
    Write { text: String },
    #[command(name = "answer")]
    Answer,
    #[command(name = "archive")]
    Archive,
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
        let text = match command {
            LetterCommand::Write { text } => text,
            LetterCommand::Answer => return Ok(LetterEvent::Answered.into()),
            LetterCommand::Archive => return Ok(LetterEvent::Archived.into()),
        };
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

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

// region: draw
/// Whatever is written is archived after a month.
struct Archiving;

impl Draw for Archiving {
    type Event = LetterEvent;

    fn draw(&self, event: &LetterEvent, drawing: Drawing<'_>) -> Vec<Outgoing> {
        let LetterEvent::Written { .. } = event else { return Vec::new() };
        let (letter, due_at) = (drawing.stream.id().to_owned(), drawing.now + DAY * 30);
        vec![Outgoing::command::<Letter>(&letter, &LetterCommand::Archive).due_at(due_at)]
    }
}
// endregion: draw

// region: process
/// Reminds of a letter that nobody answers within three days.
struct Reminder;

#[underlay::value]
struct Reminded {
    times: u32,
}

impl Process for Reminder {
    const NAME: &'static str = "reminder";
    type Event = LetterEvent;
    type State = Reminded;

    fn route(&self, event: &Recorded<LetterEvent>) -> Option<String> {
        Some(event.stream().id().to_owned())
    }

    fn step(
        &self,
        state: Option<&Reminded>,
        input: &Input<LetterEvent>,
        context: &StepContext,
    ) -> Step<Reminded> {
        let times = state.map_or(0, |state| state.times);
        let letter = &context.instance;
        match input {
            Input::Event(written) if matches!(written.event, LetterEvent::Written { .. }) => {
                Step::to(Reminded { times }).timer("unanswered", context.now + DAY * 3)
            }
            Input::Timer { .. } if times < 2 => {
                let note = Note::Sent { text: format!("nobody has answered {letter}") };
                Step::to(Reminded { times: times + 1 })
                    .send(Outgoing::message::<Mailer>(letter, &note))
                    .timer("unanswered", context.now + DAY * 3)
            }
            // It waited long enough: the letter is archived, and the outcome of that ends the instance.
            Input::Timer { .. } => {
                Step::stay().command("archive", Outgoing::command::<Letter>(letter, &LetterCommand::Archive))
            }
            Input::Event(_) | Input::Outcome { .. } => Step::stay().finish(),
        }
    }
}
// endregion: process

// region: submit
/// Leaves a letter with the store, to be written in a week. The same key submitted twice is one letter.
async fn write_in_a_week(engine: &Engine, tenant: &TenantId) -> Result<Submitted, Error> {
    let request = Request::new(tenant.clone()).with_key("welcome");
    let letter = LetterCommand::Write { text: "a week has passed".to_owned() };
    let due_at = Some(engine.clock().now() + DAY * 7);
    let options = SubmitOptions { due_at, ..SubmitOptions::default() };
    engine.submit::<Letter>(&request, &"welcome".to_owned(), &letter, options).await
}
// endregion: submit

// region: schedule
/// Puts a schedule. Putting it again changes nothing, so a program may do it at every start.
async fn write_monthly(engine: &Engine, tenant: &TenantId) -> Result<(), ExecuteNamedError> {
    let letter = LetterCommand::Write { text: "what happened this month".to_owned() };
    let monthly = ScheduleDefinition::command::<Letter>(
        "0 6 1 * *",
        "Europe/Berlin",
        &"chronicle".to_owned(),
        &letter,
    )?;
    engine.put_schedule(tenant, "chronicle", monthly.with_missed(Missed::All)).await?;
    Ok(())
}
// endregion: schedule

/// `post begin`.
struct Begin;

#[async_trait]
impl CliCommand for Begin {
    fn command(&self) -> clap::Command {
        clap::Command::new("begin").about("Put the schedule of the house, and leave a letter for later")
    }

    fn makes_store(&self) -> bool {
        true
    }

    async fn run(&self, app: &App, _: &clap::ArgMatches) -> Result<(), ExitError> {
        let put = write_monthly(&app.engine, &app.tenant).await;
        put.map_err(|error| ExitError::failed(error.to_string()))?;
        let submitted = write_in_a_week(&app.engine, &app.tenant).await?;
        Ok(writeln!(std::io::stdout().lock(), "the letter is command {}", submitted.command_id)?)
    }
}

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
        .draw(Archiving)
        .process(Reminder)
        .pump("copy", ToFile("copied"))
        .subscriber(BusSubscription::new("feed"), ToFile("fed"))
        .command(Begin)
        .main()
}
// endregion: service
