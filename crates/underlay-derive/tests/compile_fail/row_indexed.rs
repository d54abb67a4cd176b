use underlay_derive::row;

#[row(crate = underlay_core)]
struct Member {
    #[column(indexed)]
    verified_by: Option<String>,
}

fn main() {}
