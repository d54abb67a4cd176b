use underlay_derive::command;

#[command(crate = underlay_core)]
enum Undeclared {
    SetFloor { floor: i64 },
    #[command(name = "..")]
    Dots,
    #[command(name = "open", version = 1)]
    Open,
}

#[command(crate = underlay_core)]
enum Twice {
    #[command(name = "close")]
    Close,
    #[command(name = "close")]
    CloseAgain,
}

fn main() {}
