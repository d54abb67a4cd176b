use underlay::events_lock::{LockCheck, check_events_lock};
use underlay::{Aggregate, Context, Decision, Service};

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

/// One event with a bit of everything, before anybody explained it.
mod bare {
    use std::collections::BTreeMap;

    #[underlay::event]
    pub(super) enum Noted {
        #[event(name = "noted", version = 1)]
        Noted { priority: Priority, fallback: Option<Priority>, shape: Shape, parts: Vec<Part>, tree: Tree },
    }

    #[underlay::value]
    pub(super) enum Priority {
        Low,
        Middle,
        High,
    }

    #[underlay::value]
    pub(super) enum Shape {
        Point,
        Line,
        Circle { radius: i64 },
    }

    #[underlay::value]
    pub(super) struct Part {
        title: String,
        count: u32,
    }

    #[underlay::value]
    pub(super) struct Tree {
        leaves: BTreeMap<String, String>,
        branches: Vec<Tree>,
    }
}

/// The same, explained everywhere, moved around, and under other names of Rust.
mod explained {
    use std::collections::BTreeMap;

    /// Notes.
    #[underlay::event]
    pub(super) enum Remarks {
        /// # Noted
        ///
        /// Somebody wrote something down.
        #[event(name = "noted", version = 1)]
        WrittenDown {
            /// The parts.
            parts: Vec<Piece>,
            /// How urgent it is.
            priority: Urgency,
            /// What holds otherwise.
            fallback: Option<Urgency>,
            /// How it looks.
            shape: Outline,
            /// What hangs on it.
            tree: Bush,
        },
    }

    /// Urgency.
    #[underlay::value]
    pub(super) enum Urgency {
        /// Right now.
        High,
        Low,
        /// Some day.
        Middle,
    }

    /// An outline.
    #[underlay::value]
    pub(super) enum Outline {
        /// A circle.
        Circle {
            /// From the middle.
            radius: i64,
        },
        Point,
        /// A line.
        Line,
    }

    /// A piece.
    #[underlay::value]
    pub(super) struct Piece {
        /// How many.
        count: u32,
        /// # A title
        title: String,
    }

    /// A bush.
    #[underlay::value]
    pub(super) struct Bush {
        /// Bushes.
        branches: Vec<Bush>,
        /// Leaves.
        leaves: BTreeMap<String, String>,
    }
}

/// Makes a module whose event differs from the bare one in one place.
macro_rules! altered {
    ($module:ident, $priority:ty, $shape:ty, $part:ty, { $($more:tt)* }) => {
        mod $module {
            #![allow(unused_imports)]
            use super::bare::{Part, Priority, Shape, Tree};

            #[underlay::event]
            pub(super) enum Noted {
                #[event(name = "noted", version = 1)]
                Noted { priority: $priority, fallback: Option<Priority>, shape: $shape, parts: Vec<$part>, tree: Tree },
            }

            $($more)*
        }
    };
}

altered!(a_variant_more, Other, Shape, Part, {
    #[underlay::value]
    pub(super) enum Other {
        Low,
        Middle,
        High,
        Highest,
    }
});
altered!(a_variant_less, Other, Shape, Part, {
    #[underlay::value]
    pub(super) enum Other {
        Low,
        High,
    }
});
altered!(a_variant_renamed, Other, Shape, Part, {
    #[underlay::value]
    pub(super) enum Other {
        Low,
        Medium,
        High,
    }
});
altered!(a_variant_with_fields, Other, Shape, Part, {
    #[underlay::value]
    pub(super) enum Other {
        Low,
        Middle {},
        High,
    }
});
altered!(made_optional, Option<Priority>, Shape, Part, {});
altered!(a_type_within_a_variant, Priority, Other, Part, {
    #[underlay::value]
    pub(super) enum Other {
        Point,
        Line,
        Circle { radius: String },
    }
});
altered!(a_field_renamed, Priority, Shape, Other, {
    #[underlay::value]
    pub(super) struct Other {
        name: String,
        count: u32,
    }
});
altered!(a_field_more, Priority, Shape, Other, {
    #[underlay::value]
    pub(super) struct Other {
        title: String,
        count: u32,
        urgent: bool,
    }
});
altered!(a_field_less, Priority, Shape, Other, {
    #[underlay::value]
    pub(super) struct Other {
        count: u32,
    }
});
altered!(a_field_made_optional, Priority, Shape, Other, {
    #[underlay::value]
    pub(super) struct Other {
        title: Option<String>,
        count: u32,
    }
});
altered!(a_field_of_another_type, Priority, Shape, Other, {
    #[underlay::value]
    pub(super) struct Other {
        title: String,
        count: i64,
    }
});
altered!(a_list_for_one, Priority, Shape, Vec<Part>, {});

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
    fn decide(&self, _: Nothing, _: &Context) -> Result<Decision<E>, No> {
        Err(No)
    }
    fn evolve(&mut self, _: &E) {}
}

fn check<E: underlay::Event>(lock: &str) -> LockCheck {
    check_events_lock(Service::new("notes").aggregate::<Note<E>>().registry(), lock).unwrap()
}

fn lock_of<E: underlay::Event>() -> String {
    match check::<E>("") {
        LockCheck::Grows { new, text } => {
            assert_eq!(new, ["noted version 1"]);
            text
        }
        other => panic!("{other:?}"),
    }
}

fn released() -> String {
    lock_of::<first::Noted>()
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
fn comments_order_and_rust_names_change_no_shape() {
    let (bare, explained) = (lock_of::<bare::Noted>(), lock_of::<explained::Remarks>());
    assert_eq!(bare, explained);
    for name in ["Bush", "Tree", "Some day"] {
        assert!(!explained.contains(name), "{name}: {explained}");
    }
    assert_eq!(check::<explained::Remarks>(&bare), LockCheck::Fits);
    assert_eq!(check::<bare::Noted>(&explained), LockCheck::Fits);
}

/// As locks were written before shapes were: without prose, and as the code had it.
#[test]
fn a_lock_that_was_written_before_still_fits() {
    let written = include_str!("events_written_before.lock");
    assert_eq!(check::<bare::Noted>(written), LockCheck::Fits);
    assert_eq!(check::<explained::Remarks>(written), LockCheck::Fits);
    let LockCheck::Broken(told) = check::<a_variant_more::Noted>(written) else { panic!("it is broken") };
    assert!(told[0].contains("its payload changed"), "{told:?}");
}

#[test]
fn every_change_of_what_is_stored_is_found() {
    fn assert_broken<E: underlay::Event>(change: &str) {
        for lock in [lock_of::<bare::Noted>(), lock_of::<explained::Remarks>()] {
            let found = check::<E>(&lock);
            assert!(matches!(found, LockCheck::Broken(_)), "{change}: {found:?}");
        }
    }
    assert_broken::<a_variant_more::Noted>("a variant more");
    assert_broken::<a_variant_less::Noted>("a variant less");
    assert_broken::<a_variant_renamed::Noted>("a variant renamed");
    assert_broken::<a_variant_with_fields::Noted>("a variant with fields");
    assert_broken::<made_optional::Noted>("made optional");
    assert_broken::<a_type_within_a_variant::Noted>("a type within a variant");
    assert_broken::<a_field_renamed::Noted>("a field renamed");
    assert_broken::<a_field_more::Noted>("a field more");
    assert_broken::<a_field_less::Noted>("a field less");
    assert_broken::<a_field_made_optional::Noted>("a field made optional");
    assert_broken::<a_field_of_another_type::Noted>("a field of another type");
    assert_broken::<a_list_for_one::Noted>("a list for one");
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

/// The states of a process, as they were and as they are.
mod states {
    use underlay::{Event, Input, Process, Recorded, Step, StepContext};

    #[underlay::value]
    pub(super) struct Waiting {
        pub(super) since: i64,
    }

    #[underlay::value]
    pub(super) struct WaitingLonger {
        pub(super) since: i64,
        pub(super) patience: i64,
    }

    pub(super) struct Waiter<S, const VERSION: u32>(pub(super) std::marker::PhantomData<fn() -> S>);

    macro_rules! waiter {
        ($state:ty) => {
            impl<const VERSION: u32> Process for Waiter<$state, VERSION> {
                const NAME: &'static str = "waiter";
                const VERSION: u32 = VERSION;
                type Event = super::first::Noted;
                type State = $state;
                fn route(&self, event: &Recorded<Self::Event>) -> Option<String> {
                    Some(event.event.descriptor().name.to_owned())
                }
                fn step(
                    &self,
                    _: Option<&Self::State>,
                    _: &Input<Self::Event>,
                    _: &StepContext,
                ) -> Step<Self::State> {
                    Step::stay()
                }
            }
        };
    }

    waiter!(Waiting);
    waiter!(WaitingLonger);

    pub(super) fn waiter<S, const VERSION: u32>() -> Waiter<S, VERSION> {
        Waiter(std::marker::PhantomData)
    }
}

#[test]
fn the_state_of_a_process_is_a_released_shape_too() {
    use states::{Waiting, WaitingLonger, waiter};
    let check = |service: Service, lock: &str| check_events_lock(service.registry(), lock).unwrap();
    let service = || Service::new("notes");
    let LockCheck::Grows { new, text: lock } = check(service().process(waiter::<Waiting, 1>()), "") else {
        panic!("an empty lock grows")
    };
    assert_eq!(new, ["process waiter state version 1"]);
    assert_eq!(check(service().process(waiter::<Waiting, 1>()), &lock), LockCheck::Fits);

    let LockCheck::Broken(broken) = check(service().process(waiter::<WaitingLonger, 1>()), &lock) else {
        panic!("its shape changed")
    };
    assert!(
        broken[0].contains("Raise `VERSION` to 2") && broken[0].contains("Process::upcast"),
        "{broken:?}"
    );
    let LockCheck::Grows { new, text: raised } =
        check(service().process(waiter::<WaitingLonger, 2>()), &lock)
    else {
        panic!("a new version is added")
    };
    assert_eq!(new, ["process waiter state version 2"]);
    let LockCheck::Broken(broken) = check(service().process(waiter::<Waiting, 1>()), &raised) else {
        panic!("it went back")
    };
    assert!(broken[0].contains("Declare version 2"), "{broken:?}");
    let LockCheck::Broken(broken) = check(service(), &lock) else { panic!("it went away") };
    assert!(broken[0].contains("the process is no longer there"), "{broken:?}");
}
