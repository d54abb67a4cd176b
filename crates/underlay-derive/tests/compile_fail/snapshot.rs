use underlay_derive::snapshot;

#[snapshot(crate = underlay_core)]
struct NoNumber {
    balance: i64,
}

#[snapshot(crate = underlay_core, every = 0)]
struct Never {
    balance: i64,
}

#[snapshot(crate = underlay_core, every = -1)]
struct Negative {
    balance: i64,
}

#[snapshot(crate = underlay_core, every = 100, version = 0)]
struct VersionZero {
    balance: i64,
}

#[snapshot(crate = underlay_core, every = 100, every = 200)]
struct Twice {
    balance: i64,
}

#[snapshot(crate = underlay_core, each = 100)]
struct Misspelt {
    balance: i64,
}

#[snapshot(crate = underlay_core, every = 100)]
struct Generic<T> {
    balance: T,
}

fn main() {}
