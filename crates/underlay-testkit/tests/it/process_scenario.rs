//! Given, when, then for processes: what holds passes, and what does not fails and says why.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use underlay_core::{
    CommandOutcome, Input, NewWork, Process, Recorded, Step, StepContext, Timestamp, WorkKind,
};
use underlay_derive::{event, value};
use underlay_testkit::given_process;

#[event(crate = underlay_core)]
enum ParcelEvent {
    #[event(name = "sent", version = 1)]
    Sent,
    #[event(name = "guessed", version = 1)]
    Guessed,
    #[event(name = "strayed", version = 1)]
    Strayed,
    #[event(name = "arrived", version = 1)]
    Arrived,
}

#[value(crate = underlay_core)]
struct Parcel {
    reminders: u32,
    #[serde(skip_serializing_if = "is_large", default)]
    weight: u32,
}

fn is_large(weight: &u32) -> bool {
    *weight > 100
}

struct Delivery;

static GUESS: AtomicU32 = AtomicU32::new(0);

fn remind() -> NewWork {
    NewWork::new(WorkKind::Command, "courier", "1", "remind", underlay_core::Json::from_stored("{}"))
}

impl Process for Delivery {
    const NAME: &'static str = "delivery";
    type Event = ParcelEvent;
    type State = Parcel;

    fn route(&self, event: &Recorded<ParcelEvent>) -> Option<String> {
        match event.event {
            ParcelEvent::Strayed => None,
            _ => Some(event.stream().id().to_owned()),
        }
    }

    fn step(
        &self,
        state: Option<&Parcel>,
        input: &Input<ParcelEvent>,
        context: &StepContext,
    ) -> Step<Parcel> {
        let later = context.now.saturating_add(Duration::from_secs(60)).unwrap_or(context.now);
        let reminders = state.map_or(0, |state| state.reminders);
        match input {
            Input::Event(Recorded { event: ParcelEvent::Sent, .. }) => {
                Step::to(Parcel { reminders, weight: 1 }).timer("remind", later).undo_by("recall", remind())
            }
            Input::Event(Recorded { event: ParcelEvent::Guessed, .. }) => {
                Step::to(Parcel { reminders: GUESS.fetch_add(1, Ordering::SeqCst), weight: 1_000 })
            }
            Input::Event(_) => Step::stay().clear_timer("remind").finish(),
            Input::Timer { .. } => {
                Step::to(Parcel { reminders: reminders + 1, weight: 1_000 }).command("remind", remind())
            }
            Input::Outcome { name, .. } if name == "remind" => Step::stay().compensate(),
            Input::Outcome { .. } => Step::stay(),
        }
    }
}

fn sent() -> underlay_testkit::GivenProcess<Delivery> {
    given_process(Delivery, [ParcelEvent::Sent])
}

#[test]
fn a_step_is_compared_with_its_state_and_its_actions() {
    sent().when(ParcelEvent::Arrived).then(Step::stay().clear_timer("remind").finish());
    let later = Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(70)).unwrap();
    let at = Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(10)).unwrap();
    given_process(Delivery, []).at(at).when(ParcelEvent::Sent).then(
        Step::to(Parcel { reminders: 0, weight: 1 }).timer("remind", later).undo_by("recall", remind()),
    );
    let reminded = sent().when(Input::timer("remind")).step();
    assert_eq!(reminded.state.unwrap().reminders, 1);
}

#[test]
#[should_panic(expected = "the step is another one")]
fn another_step_is_told() {
    sent().when(ParcelEvent::Arrived).then(Step::stay().finish());
}

#[test]
#[should_panic(expected = "the step taken again is another one")]
fn a_step_that_guesses_is_told() {
    let _step = sent().when(ParcelEvent::Guessed);
}

#[test]
#[should_panic(expected = "the state does not survive being stored")]
fn a_state_that_does_not_survive_is_told() {
    let _step = sent().and(Input::timer("remind")).when(ParcelEvent::Arrived);
}

#[test]
#[should_panic(expected = "names no instance")]
fn an_event_for_no_instance_is_told() {
    let _step = sent().when(ParcelEvent::Strayed);
}

#[test]
#[should_panic(expected = "the event is for another instance")]
fn an_event_for_another_instance_is_told() {
    let _step = sent().of("parcel-2").when(ParcelEvent::Arrived);
}

#[test]
#[should_panic(expected = "no command remind is waited for")]
fn an_outcome_that_nobody_waits_for_is_told() {
    let _step = sent().when(Input::outcome("remind", CommandOutcome::Accepted));
}

#[test]
#[should_panic(expected = "no timer late is set")]
fn a_timer_that_was_not_set_is_told() {
    let _step = sent().when(Input::timer("late"));
}

#[test]
#[should_panic(expected = "the instance has finished")]
fn what_comes_after_the_end_is_told() {
    let _step = sent().and(ParcelEvent::Arrived).when(ParcelEvent::Arrived);
}
