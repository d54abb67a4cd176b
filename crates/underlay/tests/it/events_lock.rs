use underlay::events_lock::{LockCheck, check_events_lock};
use underlay::{Aggregate, Context, Service};

mod first {
    #[underlay::event]
    pub(super) enum Noted {
        /// What was noted.
        #[event(name = "noted", version = 1)]
        Noted { text: String },
    }
}

mod reworded {
    #[underlay::event]
    pub(super) enum Noted {
        /// Another explanation, another Rust name.
        #[event(name = "noted", version = 1)]
        WrittenDown {
            /// The text.
            text: String,
        },
    }
}

mod changed {
    #[underlay::event]
    pub(super) enum Noted {
        #[event(name = "noted", version = 1)]
        Noted { text: String, urgent: bool },
    }
}

mod raised {
    #[underlay::event]
    pub(super) enum Noted {
        #[event(name = "noted", version = 2, upcasts(calm))]
        Noted { text: String, urgent: bool },
    }

    fn calm(mut payload: serde_json::Value) -> Result<serde_json::Value, String> {
        payload.as_object_mut().ok_or("not an object")?.insert("urgent".to_owned(), false.into());
        Ok(payload)
    }
}

mod renamed {
    #[underlay::event]
    pub(super) enum Noted {
        #[event(name = "written", version = 1)]
        Noted { text: String },
    }
}

#[underlay::command]
enum Nothing {
    #[command(name = "nothing")]
    Nothing,
}

#[underlay::refusal(code = "no", message = "no")]
struct No;

struct Note<E>(std::marker::PhantomData<fn() -> E>);

impl<E> Clone for Note<E> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<E> Default for Note<E> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<E: underlay::Event> Aggregate for Note<E> {
    const CATEGORY: &'static str = "note";
    type Id = String;
    type Command = Nothing;
    type Event = E;
    type Refusal = No;
    fn decide(&self, _: Nothing, _: &Context) -> Result<Vec<E>, No> {
        Err(No)
    }
    fn evolve(&mut self, _: &E) {}
}

fn check<E: underlay::Event>(lock: &str) -> LockCheck {
    check_events_lock(Service::new("notes").aggregate::<Note<E>>().registry(), lock).unwrap()
}

fn released() -> String {
    match check::<first::Noted>("") {
        LockCheck::Grows { new, text } => {
            assert_eq!(new, ["noted version 1"]);
            text
        }
        other => panic!("{other:?}"),
    }
}

fn broken<E: underlay::Event>() -> String {
    match check::<E>(&released()) {
        LockCheck::Broken(broken) => broken.join("\n"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_payload_that_changed_without_a_new_version_is_found_and_says_what_to_do() {
    let told = broken::<changed::Noted>();
    assert!(
        told.contains("noted version 1: its payload changed") && told.contains("version 2 with an upcaster"),
        "{told}"
    );
}

#[test]
fn prose_and_rust_names_do_not_count() {
    assert_eq!(check::<first::Noted>(&released()), LockCheck::Fits);
    assert_eq!(check::<reworded::Noted>(&released()), LockCheck::Fits);
}

#[test]
fn a_new_version_grows_the_lock_and_the_old_code_no_longer_fits_it() {
    let LockCheck::Grows { new, text } = check::<raised::Noted>(&released()) else { panic!("it grows") };
    assert_eq!(new, ["noted version 2"]);
    assert_eq!(check::<raised::Noted>(&text), LockCheck::Fits);
    let LockCheck::Broken(told) = check::<first::Noted>(&text) else { panic!("it is broken") };
    assert!(told[0].contains("declares version 1, version 2 was released"), "{told:?}");
}

#[test]
fn a_type_that_went_away_is_found() {
    let told = broken::<renamed::Noted>();
    assert!(told.contains("noted: the type is no longer declared"), "{told}");
}

#[test]
fn a_damaged_lock_is_an_error() {
    let registry = Service::new("notes").aggregate::<Note<first::Noted>>();
    assert!(check_events_lock(registry.registry(), "{").unwrap_err().contains("cannot be read"));
}
