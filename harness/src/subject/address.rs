use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// What a file's address may end in: past this size the WAL begins again.
const WAL_BYTES_MAX: &str = "?wal_bytes_max=";

/// Where a store is: `sqlite:PATH`, `postgres://…`, or `memory` within one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A file.
    Sqlite {
        path: PathBuf,
        /// Another size than the usual one.
        wal_bytes_max: Option<u64>,
    },
    /// A database with the schema in it, as the adapter takes its address.
    Postgres(String),
    /// Gone with the process.
    Memory,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => {
                let (path, bytes) = match path.split_once(WAL_BYTES_MAX) {
                    Some((path, bytes)) => (path, Some(bytes)),
                    None => (path, None),
                };
                let bytes = bytes.map(|bytes| {
                    bytes.parse().map_err(|error| format!("wal_bytes_max is {bytes:?}: {error}"))
                });
                Ok(Self::Sqlite { path: path.into(), wal_bytes_max: bytes.transpose()? })
            }
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(text.to_owned())),
            None if text == "memory" => Ok(Self::Memory),
            _ => Err(format!(
                "{text:?} is no address of a store; there are: sqlite:PATH, postgres://…, memory"
            )),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path, wal_bytes_max } => {
                write!(f, "sqlite:{}", path.display())?;
                match wal_bytes_max {
                    Some(bytes) => write!(f, "{WAL_BYTES_MAX}{bytes}"),
                    None => Ok(()),
                }
            }
            Self::Postgres(address) => f.write_str(address),
            Self::Memory => f.write_str("memory"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_reads_the_address_that_it_is_given() {
        for wal_bytes_max in [None, Some(64 << 10)] {
            let address = Address::Sqlite { path: "/a b/store.db".into(), wal_bytes_max };
            assert_eq!(address.to_string().parse(), Ok(address));
        }
        for text in ["memory", "postgres://u@h/d?sslmode=disable"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in ["", "sqlite:", "mysql://h/d", "sqlite:a?wal_bytes_max=many"] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }
}
