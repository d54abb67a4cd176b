//! The program: see the library for what it does.

/// A commit is many small allocations on several threads. The allocator of a system may be slow at that: with glibc's a
/// command took a tenth more processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> underlay::Exit {
    ledger::service().main()
}
