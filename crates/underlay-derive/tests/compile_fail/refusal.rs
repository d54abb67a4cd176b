use underlay_derive::refusal;

#[refusal(crate = underlay_core)]
enum Undeclared {
    NotFound,
    #[refusal(code = "closed")]
    Closed,
    #[refusal(code = "silent", message = " ")]
    Silent,
    #[refusal(code = "unnamed", message = "unnamed")]
    Unnamed(String),
}

#[refusal(crate = underlay_core, code = "misplaced", message = "misplaced")]
enum Misplaced {}

#[refusal(crate = underlay_core)]
struct Structure;

#[refusal(crate = underlay_core)]
enum Repeated {
    #[refusal(code = "one", code = "two", message = "there")]
    Repeated,
}

fn main() {}
