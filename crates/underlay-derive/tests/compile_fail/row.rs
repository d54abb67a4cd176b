use underlay_derive::row;

#[row(crate = underlay_core)]
enum Variants {
    One,
}

#[row(crate = underlay_core)]
struct Unnamed(String);

#[row(crate = underlay_core)]
struct Generic<T> {
    value: T,
}

#[row(crate = underlay_core)]
struct Names {
    tenant: String,
    #[column(name = "Balance")]
    balance: i64,
    #[column(sorted)]
    sorted: i64,
}

#[row(crate = underlay_core)]
struct Twice {
    count: i64,
    #[column(name = "count")]
    number: i64,
}

fn main() {}
