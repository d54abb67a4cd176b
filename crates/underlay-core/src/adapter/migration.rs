//! Numbered changes of a schema, each applied once and remembered with its checksum.
//!
//! A migration is frozen once it is released: a database remembers the checksums of those that made it, and
//! a program with other texts refuses it. A change is a further migration at the end.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::words::Error;

/// A change of the schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// From 1, without gaps.
    pub number: i32,
    /// What it makes, in a word or two.
    pub name: &'static str,
    /// Statements, a file each, in the order they run.
    pub parts: &'static [&'static str],
}

impl Migration {
    /// What it is remembered by: of its texts with plain line ends, however the source was checked out.
    #[must_use]
    pub fn checksum(&self) -> Vec<u8> {
        let mut sum = Sha256::new();
        for part in self.parts {
            sum.update(part.replace("\r\n", "\n"));
        }
        sum.finalize().to_vec()
    }
}

/// Counts the migrations a database remembers, each of which must be as this program knows it. They come as
/// number, name and checksum; `place` names the database.
///
/// # Errors
/// [`Error::Invalid`] where the database was written by a newer program, or one was applied with other
/// content; [`Error::Damaged`] where one is missing in between.
pub fn count_applied<N: fmt::Display>(
    known: &[Migration],
    place: impl fmt::Display,
    applied: impl IntoIterator<Item = (i32, N, Vec<u8>)>,
) -> Result<usize, Error> {
    let mut count = 0;
    for (number, name, sum) in applied {
        match known.get(count) {
            Some(known) if known.number == number && known.checksum() == sum => count += 1,
            Some(known) if known.number == number => {
                return Err(Error::invalid(format!(
                    "{place}: migration {number} ({name}) was applied with other content than this program \
                     has; use the program that applied it"
                )));
            }
            Some(known) => {
                return Err(Error::Damaged(format!(
                    "migration {} ({}) is missing, {number} ({name}) is applied",
                    known.number, known.name
                )));
            }
            None => {
                return Err(Error::invalid(format!(
                    "{place} was written by a newer program: it has migration {number} ({name}), this program \
                     knows {}; upgrade the program",
                    known.len()
                )));
            }
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Migration; 2] = [
        Migration { number: 1, name: "log", parts: &["a\r\n", "b\n"] },
        Migration { number: 2, name: "views", parts: &["c\n"] },
    ];

    fn counted(applied: &[(i32, &str, Vec<u8>)]) -> Result<usize, Error> {
        count_applied(&KNOWN, "place", applied.iter().cloned())
    }

    #[test]
    fn what_is_applied_is_what_is_known_up_to_where_it_ends() {
        let [log, views] = KNOWN.map(|migration| migration.checksum());
        assert_eq!(
            log,
            Migration { parts: &["a\n", "b\n"], ..KNOWN[0] }.checksum(),
            "line ends do not count"
        );
        assert_eq!(counted(&[]).unwrap(), 0);
        assert_eq!(counted(&[(1, "log", log.clone())]).unwrap(), 1);
        assert_eq!(counted(&[(1, "log", log.clone()), (2, "views", views.clone())]).unwrap(), 2);
        for (applied, part) in [
            (vec![(1, "log", views.clone())], "place: migration 1 (log) was applied with other content"),
            (vec![(2, "views", views.clone())], "migration 1 (log) is missing, 2 (views) is applied"),
            (vec![(1, "log", log), (2, "views", views), (3, "more", vec![])], "place was written by a newer"),
        ] {
            let refused = counted(&applied).unwrap_err().to_string();
            assert!(refused.contains(part), "{refused}");
        }
    }
}
