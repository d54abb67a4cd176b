//! The guide, followed as it is written: its files, its commands, and the answers it shows.
//!
//! Everything happens in one folder below the target directory. It is made anew every time; what was built
//! there before is kept, so that a second run is quick.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a guide that cannot be followed is a failed test"
)]

mod page;
mod postgres;
mod reader;

use page::Step;
use postgres::Place;
use reader::Reader;

#[test]
fn the_guide_can_be_followed_as_it_is_written() {
    let mut reader = Reader::new();
    for (heading, steps) in page::sections(include_str!("../../../../docs/guide.md")) {
        let place = match heading.contains("PostgreSQL") {
            true => match Place::new() {
                Some(place) => Some(place),
                None => continue,
            },
            false => None,
        };
        for step in &steps {
            match step {
                Step::Write { path, text } => reader.write(path, text),
                Step::Append { path, text } => reader.append(path, text),
                Step::Replace { path, source, text } => reader.replace(path, source, text),
                Step::Run { line, command, answer } => match &place {
                    Some(_) if Place::has_done(command) => {}
                    Some(place) => {
                        let migrates = command.contains(" migrate ");
                        if migrates {
                            // Others wait for their turn to migrate, and need not wait for a build.
                            reader.run(*line, "cargo build", "…");
                        }
                        let _turn = migrates.then(|| place.turn());
                        reader.run(*line, &place.names(command), &place.names(answer));
                    }
                    None => reader.run(*line, command, answer),
                },
            }
        }
        // Before the database of this section goes away.
        reader.stop();
    }
}
