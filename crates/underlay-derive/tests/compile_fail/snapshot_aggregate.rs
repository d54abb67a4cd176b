use underlay_derive::snapshot;

#[snapshot(every = 100, crate = underlay_core)]
struct NoAggregate {
    balance: i64,
}

fn main() {}
