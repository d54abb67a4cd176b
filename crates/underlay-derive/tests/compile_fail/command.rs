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

#[command(crate = underlay_core)]
enum Roles {
    #[command(name = "a", roles())]
    Nobody,
    #[command(name = "b", roles("two words"))]
    Words,
    #[command(name = "c", roles("teller", "teller"))]
    Again,
    #[command(name = "d", roles("teller"), roles("manager"))]
    Parted,
    #[command(name = "e", roles = "teller")]
    Assigned,
}

fn main() {}
