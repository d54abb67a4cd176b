use underlay_derive::refusal;

#[refusal(crate = underlay_core)]
enum Misspelt {
    #[refusal(code = "overdrawn", message = "the balance is {availible}")]
    Overdrawn { available: i64 },
}

fn main() {}
