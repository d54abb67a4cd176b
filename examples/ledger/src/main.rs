//! The program: see the library for what it does.

fn main() -> underlay::Exit {
    ledger::service().main()
}
