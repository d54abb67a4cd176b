//! Work that waits in a table, without what keeps it right. Who does it takes turns as the dice fall, so that every
//! run makes the mistake.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use crate::Result;
use crate::dice::Dice;
use crate::order::evidence::Evidence;
use crate::work::{Answer, Arrival, Deliveries, Line, Parcel};

/// Pieces that are sent.
const PIECES: usize = 60;
/// The keys they have.
const KEYS: u64 = 2;
/// How long a claim lasts, and a moment, in microseconds.
const CLAIM: u64 = 10_000_000;
const MOMENT: u64 = 3_000_000;
/// Pieces that a worker reads at a time.
const PAGE: usize = 2;

/// The table, and the world outside.
struct Queue {
    connection: Connection,
    deliveries: Deliveries,
    now: u64,
}

/// A piece of work.
#[derive(Clone)]
struct Piece {
    place: i64,
    key: String,
    number: u64,
}

impl Queue {
    fn create(path: &Path) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.execute_batch(
            "CREATE TABLE work (
                place INTEGER PRIMARY KEY,
                key TEXT NOT NULL,
                number INTEGER NOT NULL,
                is_done INTEGER NOT NULL DEFAULT 0,
                due_at INTEGER NOT NULL DEFAULT 0,
                claimed_until INTEGER NOT NULL DEFAULT 0
            );",
        )?;
        Ok(Self { connection, deliveries: Deliveries::default(), now: MOMENT })
    }

    /// The same with all that is sent in it.
    fn filled(path: &Path, dice: &mut Dice) -> Result<Self> {
        let mut queue = Self::create(path)?;
        for _ in 0..PIECES {
            queue.send(dice)?;
        }
        Ok(queue)
    }

    fn line(key: &str) -> Line {
        ("north".to_owned(), "courier".to_owned(), key.to_owned())
    }

    fn send(&mut self, dice: &mut Dice) -> Result<()> {
        let key = dice.below(KEYS).to_string();
        let sent = self.deliveries.sent.entry(Self::line(&key)).or_default();
        let number = sent.len() as u64 + 1;
        sent.push(number);
        self.connection.execute("INSERT INTO work (key, number) VALUES (?, ?)", params![key, number])?;
        Ok(())
    }

    /// The first piece that is not done and fits.
    fn first(&self, fits: &str) -> Result<Option<Piece>> {
        let select = format!(
            "SELECT place, key, number FROM work WHERE NOT is_done AND ({fits}) ORDER BY place LIMIT 1"
        );
        Ok(self.connection.query_row(&select, [], piece).optional()?)
    }

    fn page(&self) -> Result<Vec<Piece>> {
        let select = "SELECT place, key, number FROM work WHERE NOT is_done ORDER BY place LIMIT ?";
        let mut select = self.connection.prepare_cached(select)?;
        let pieces = select.query_map([PAGE], piece)?;
        Ok(pieces.collect::<std::result::Result<Vec<Piece>, _>>()?)
    }

    /// A worker brings a piece to the receiver.
    fn bring(&mut self, worker: u128, piece: &Piece, answer: Answer) {
        let (tenant, handler, key) = Self::line(&piece.key);
        let parcel = Parcel {
            worker: Uuid::from_u128(worker),
            tenant,
            handler,
            key,
            number: piece.number,
            idempotency_key: piece.place.to_string(),
            attempt: 1,
        };
        self.deliveries.arrivals.push(Arrival { parcel, answer, at: self.now });
        self.now += MOMENT;
    }

    /// What is stored of a piece, named by its id.
    fn settle(&self, piece: &Piece, is_done: bool, due_at: u64) -> Result<()> {
        let update = "UPDATE work SET is_done = ?, due_at = ?, claimed_until = 0 WHERE place = ?";
        self.connection.execute(update, params![is_done, due_at, piece.place])?;
        Ok(())
    }

    /// A worker takes the first piece that nobody has a claim to.
    fn claim(&mut self) -> Result<Option<Piece>> {
        let piece = self.first(&format!("claimed_until <= {}", self.now))?;
        if let Some(piece) = &piece {
            let update = "UPDATE work SET claimed_until = ? WHERE place = ?";
            self.connection.execute(update, params![self.now + CLAIM, piece.place])?;
        }
        Ok(piece)
    }

    fn evidence(self) -> Evidence {
        Evidence { deliveries: self.deliveries, ..Evidence::default() }
    }
}

fn piece(row: &Row<'_>) -> rusqlite::Result<Piece> {
    Ok(Piece { place: row.get(0)?, key: row.get(1)?, number: row.get(2)? })
}

/// A worker is stopped for longer than its claim, while another does the piece and the next. It comes back, and
/// says of the piece, by its id, that its attempt has failed.
pub(super) fn settle_by_the_id_alone(path: &Path, dice: &mut Dice) -> Result<Evidence> {
    const STOPPED: u128 = 1;
    const OTHER: u128 = 2;
    let mut queue = Queue::filled(path, dice)?;
    for round in 0_u64.. {
        let Some(piece) = queue.claim()? else { break };
        // Often enough, but not for ever: what is done again may be stopped again.
        if !(round.is_multiple_of(5) && round < PIECES as u64) {
            queue.bring(OTHER, &piece, Answer::Taken);
            queue.settle(&piece, true, 0)?;
            continue;
        }
        queue.deliveries.accounts.entry(Uuid::from_u128(STOPPED)).or_default().stopped.push(queue.now);
        queue.now += CLAIM;
        for _ in 0..=KEYS {
            let Some(next) = queue.claim()? else { break };
            queue.bring(OTHER, &next, Answer::Taken);
            queue.settle(&next, true, 0)?;
        }
        queue.settle(&piece, false, 0)?;
    }
    Ok(queue.evidence())
}

/// Two workers read the same piece, since neither has to hold anything to do so.
pub(super) fn claim_without_a_term(path: &Path, dice: &mut Dice) -> Result<Evidence> {
    let mut queue = Queue::filled(path, dice)?;
    while let Some(piece) = queue.first("true")? {
        let workers: &[u128] = if dice.chance(30) { &[1, 2] } else { &[1] };
        for worker in workers {
            queue.bring(*worker, &piece, Answer::Taken);
        }
        queue.settle(&piece, true, 0)?;
    }
    Ok(queue.evidence())
}

/// A piece that is wanted later is due later, and the next of its key is not.
pub(super) fn let_others_pass_at_a_retry(path: &Path, dice: &mut Dice) -> Result<Evidence> {
    let mut queue = Queue::filled(path, dice)?;
    while queue.first("true")?.is_some() {
        let Some(piece) = queue.first(&format!("due_at <= {}", queue.now))? else {
            queue.now += MOMENT;
            continue;
        };
        if dice.chance(20) {
            queue.bring(1, &piece, Answer::Again);
            let later = queue.now + KEYS * 2 * MOMENT;
            queue.settle(&piece, false, later)?;
        } else {
            queue.bring(1, &piece, Answer::Taken);
            queue.settle(&piece, true, 0)?;
        }
    }
    Ok(queue.evidence())
}

/// The worker reads a page when it is told of work, and waits for the next word when that is done. Nobody hears a word
/// that comes while it is at work.
pub(super) fn rely_on_wakeups(path: &Path, dice: &mut Dice) -> Result<Evidence> {
    let mut queue = Queue::create(path)?;
    let mut page: Vec<Piece> = Vec::new();
    let mut left = PIECES;
    while left > 0 || !page.is_empty() {
        // The last ones come while it is at work.
        if left > 0 && (left <= PAGE || dice.chance(70)) {
            queue.send(dice)?;
            left -= 1;
            if page.is_empty() {
                page = queue.page()?;
            }
        } else if !page.is_empty() {
            let piece = page.remove(0);
            queue.bring(1, &piece, Answer::Taken);
            queue.settle(&piece, true, 0)?;
        }
    }
    Ok(queue.evidence())
}
