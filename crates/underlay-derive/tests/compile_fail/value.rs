use underlay_derive::value;

#[value(crate = underlay_core)]
struct Generic<T> {
    amount: T,
}

#[value(crate = underlay_core)]
union Either {
    count: i64,
    flag: bool,
}

#[value(crate = underlay_core)]
struct Conditional {
    #[cfg(unix)]
    owner: u32,
}

#[value(crate = underlay_core)]
enum ConditionalVariant {
    Always,
    #[cfg(unix)]
    Sometimes,
}

#[value(crate = underlay_core, name = "money")]
struct Named {
    amount: i64,
}

fn main() {}
