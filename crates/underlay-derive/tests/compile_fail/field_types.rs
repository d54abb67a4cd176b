use underlay_derive::{command, event, refusal, value};

struct Money(i64);

/// It has what serde gives, and no more.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Undescribed(i64);

#[event(crate = underlay_core)]
enum Payments {
    #[event(name = "paid", version = 1)]
    Paid { amount: Undescribed },
}

#[command(crate = underlay_core)]
enum Pay {
    #[command(name = "pay")]
    Pay { amount: Undescribed },
    #[command(name = "pay-back")]
    PayBack { amount: Option<Money> },
}

#[refusal(crate = underlay_core)]
enum Refused {
    #[refusal(code = "too-much", message = "that is too much")]
    TooMuch { most: Undescribed },
}

#[value(crate = underlay_core)]
struct Price {
    amount: Undescribed,
    currency: String,
}

fn main() {}
