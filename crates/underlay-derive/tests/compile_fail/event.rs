use underlay_derive::event;

#[event(crate = underlay_core)]
enum Undeclared {
    AccountOpened { name: String },
    #[event(name = "account-closed")]
    AccountClosed,
    #[event(version = 1)]
    Charged,
    #[event(name = "account charged", version = 1)]
    Spaced,
    #[event(name = "zero", version = 0)]
    Zero,
    #[event(name = "extra", version = 1, label = "x")]
    Extra,
}

#[event(crate = underlay_core)]
enum Twice {
    #[event(name = "noted", version = 1)]
    Noted { text: String },
    #[event(name = "noted", version = 2, upcasts(same))]
    NotedAgain { text: String },
}

#[event(crate = underlay_core)]
enum Steps {
    #[event(name = "none", version = 3)]
    NoStep,
    #[event(name = "one", version = 3, upcasts(same))]
    OneStep,
    #[event(name = "many", version = 2, upcasts(same, same))]
    ManySteps,
    #[event(name = "first", version = 1, upcasts(same))]
    FirstStep,
}

#[event(crate = underlay_core)]
enum Shapes {
    #[event(name = "pair", version = 1)]
    Pair(String, String),
    #[event(name = "conditional", version = 1)]
    #[cfg(debug_assertions)]
    Conditional,
    #[event(flatten)]
    Set { inner: Twice },
    #[event(name = "tagged", version = 1)]
    #[serde(tag = "kind")]
    Tagged { text: String },
}

#[event(crate = underlay_core)]
#[serde(rename_all = "camelCase")]
enum Whole {}

#[event(crate = underlay_core)]
struct Structure {
    text: String,
}

#[event(crate = underlay_core)]
enum Generic<T> {
    #[event(name = "generic", version = 1)]
    Generic { value: T },
}

#[event(root = underlay_core)]
enum Arguments {}

fn same(payload: serde_json::Value) -> Result<serde_json::Value, String> {
    Ok(payload)
}

fn main() {}
