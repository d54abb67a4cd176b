//! The stores that are attacked, and where they stand.
//!
//! A [`Subject`] makes [`Place`]s, each with an empty store in it, and a place has the [`Address`] that
//! processes open it by. Whoever attacks a guarantee is written once over these two. What belongs to one
//! store alone are its faults: they ask a subject for its server, a place for its database or its files,
//! and leave a subject alone that has none.
//!
//! So another store costs a variant of [`StoreKind`], a subject of its own in a file here, and its faults.

mod address;
mod memory;
mod open;
mod postgres;
mod rows;
mod sqlite;

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use servers::{Database, Missing, Server};

pub(crate) use self::address::Address;
pub(crate) use self::open::{OpenStore, is_unavailable};
pub(crate) use self::postgres::{Postgres, PostgresPlace};
pub(crate) use self::rows::{RowsAddress, RowsKind, RowsServer};
use self::sqlite::Sqlite;

use self::memory::Memory;
use crate::dice::Dice;
use crate::{Result, terminal};

/// The stores there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreKind {
    /// A file.
    Sqlite,
    /// A database, on the server of UNDERLAY_TEST_POSTGRES_URL or a private one.
    Postgres,
    /// Within this process.
    Memory,
}

impl StoreKind {
    const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::Memory];

    /// As a command line and a report name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Memory => "memory",
        }
    }

    /// Takes one of these from a command line.
    pub(crate) fn among(kinds: &[Self]) -> impl TypedValueParser<Value = Self> + use<> {
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        PossibleValuesParser::new(names).try_map(|name| name.parse::<Self>())
    }

    /// The subject, whose files are made in a folder; or why it cannot be had here.
    pub(crate) fn find(self, folder: &Path) -> std::result::Result<Box<dyn Subject>, Missing> {
        self.subject(folder, Postgres::find)
    }

    /// The same where every server is one of this run, which nobody else feels the end of.
    pub(crate) fn start(self, folder: &Path) -> std::result::Result<Box<dyn Subject>, Missing> {
        self.subject(folder, Postgres::start)
    }

    fn subject(
        self,
        folder: &Path,
        server: impl FnOnce() -> std::result::Result<Postgres, Missing>,
    ) -> std::result::Result<Box<dyn Subject>, Missing> {
        Ok(match self {
            Self::Sqlite => Box::new(Sqlite::new(folder)),
            Self::Postgres => Box::new(server()?),
            Self::Memory => Box::new(Memory),
        })
    }
}

impl FromStr for StoreKind {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| {
            format!("there is no store {name:?}; there are: {}", Self::ALL.map(Self::name).join(", "))
        })
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a process comes to a store. Where a store has one way alone, all lead there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Direct(Hearing),
    /// Through a pooler, where there is one.
    Pooled(Hearing),
}

/// How a process hears of commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hearing {
    /// By the hints of the store.
    Listens,
    /// It polls.
    Polls,
}

impl Way {
    /// As a program comes to its store that asks for nothing else.
    pub(crate) const USUAL: Self = Self::Direct(Hearing::Listens);

    pub(crate) fn hearing(self) -> Hearing {
        match self {
            Self::Direct(hearing) | Self::Pooled(hearing) => hearing,
        }
    }
}

/// A store that can be attacked.
#[async_trait]
pub(crate) trait Subject: Send + Sync {
    fn kind(&self) -> StoreKind;

    /// A place with an empty store in it. No other of the subject has this name.
    async fn place(&self, name: &str) -> Result<Arc<dyn Place>>;

    /// How other processes come to a place to write there; none where no other process can.
    fn writing(&self) -> &'static [Way];

    /// The same for those that read.
    fn reading(&self) -> &'static [Way];

    /// Whether its hints of commits are to be shown to come: then who listens hardly ever looks for
    /// itself.
    fn is_hinted(&self) -> bool {
        false
    }

    /// The PostgreSQL server its places are on.
    fn server(&self) -> Option<&Server> {
        None
    }

    /// The same, to be stopped.
    fn server_mut(&mut self) -> Option<&mut Server> {
        None
    }
}

/// Where one store stands: a database or a folder made for it. It is removed with the last handle to it,
/// or with the folder of the run.
#[async_trait]
pub(crate) trait Place: fmt::Debug + Send + Sync {
    fn address(&self, way: Way) -> Address;

    /// The usual address, with options of the store drawn anew that change when it does what.
    fn any_address(&self, _: &mut Dice) -> Address {
        self.address(Way::USUAL)
    }

    /// The folder that holds its files and nothing else.
    fn files(&self) -> Option<&Path> {
        None
    }

    /// The PostgreSQL database that it is.
    fn database(&self) -> Option<&Database> {
        None
    }

    /// Waits until what a killed process left in the store has ended: what it was doing is done or is not.
    async fn wait_until_left(&self) -> Result<()> {
        Ok(())
    }

    /// Removes what a handle would not.
    fn remove(&self) -> Result<()> {
        Ok(())
    }
}

/// Says what is missing; true where that is no failure.
pub(crate) fn skip(missing: &Missing) -> Result<bool> {
    terminal::print(&missing.skip_line())?;
    Ok(!servers::is_required())
}
