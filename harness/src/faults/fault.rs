//! A fault, and what each is given.

use std::path::PathBuf;
use std::pin::Pin;

use super::report::Measured;
use super::serving::Ledger;
use crate::Result;

pub(crate) type Doing<'a> = Pin<Box<dyn Future<Output = Result<Measured>> + 'a>>;

/// A fault, and what is promised.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) promised: &'static str,
    pub(crate) run: fn(&Means) -> Doing<'_>,
}

/// What every fault is given.
#[derive(Clone, Debug)]
pub(crate) struct Means {
    pub(crate) ledger: Ledger,
    /// Where files may be put; removed at the end.
    pub(crate) directory: PathBuf,
    /// Whether to take little time.
    pub(crate) quick: bool,
}
