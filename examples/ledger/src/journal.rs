//! The reader of journals: the CSV that `hledger print -O csv` writes.
//!
//! A row is a posting; rows with the same `txnidx`, one after the other, are an entry. Columns are
//! found by their names. Whatever is wrong is an error that says in which line and why: nothing is
//! guessed, skipped or rounded. The file is read as a stream, one entry at a time.
//!
//! An entry's identity is a hash of its content and its ordinal among equal entries, not its place
//! in the file: a journal that has grown is imported again, and only what is new is posted. Whether
//! an entry is cleared is no part of it, so that clearing an entry does not post it twice.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read};

use csv::StringRecord;
use jiff::civil::Date;
use underlay::words::{Fingerprint, Origin};
use underlay::{CommitId, TenantId};

use crate::account::{AccountId, InvalidAccountId};
use crate::entry::{EntryRefusal, POSTINGS_MAX, PostEntry, Posting, PostingKind};
use crate::money::{Commodity, InvalidAmount, InvalidCommodity, parse_amount};

/// An entry as it stands in a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// The line of its first posting, from 1.
    pub line: u64,
    /// What tells it apart from every other entry, in every file.
    pub identity: EntryIdentity,
    /// What to post.
    pub entry: PostEntry,
}

/// The identity of an entry: its content, and which of the equal ones it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryIdentity {
    /// The hash of the content.
    pub content: Fingerprint,
    /// How many equal entries stand before it in the file.
    pub ordinal: u32,
}

impl EntryIdentity {
    /// The id under which the entry is posted for a tenant at an attempt, from 0: the same for ever.
    #[must_use]
    pub fn commit_id(&self, tenant: &TenantId, attempt: u32) -> CommitId {
        let parts =
            [b"journal".as_slice(), &self.content.0, &self.ordinal.to_le_bytes(), &attempt.to_le_bytes()];
        CommitId::derived(tenant, Origin::Import, parts)
    }
}

/// A journal is not as it should be.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct JournalError {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong there.
    pub problem: JournalProblem,
}

/// What can be wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalProblem {
    /// There is nothing in it, not even the names of the columns.
    #[error("the file is empty; write it with `hledger print -O csv`")]
    Empty,
    /// A column is not there.
    #[error("column {column:?} is missing; there are: {}", present.join(", "))]
    MissingColumn {
        /// Its name.
        column: &'static str,
        /// The names there are.
        present: Vec<String>,
    },
    /// A row is cut off, or has too many fields.
    #[error(
        "the row has {fields} fields, the header has {columns}; is the file cut off, or a quote not closed?"
    )]
    FieldCount {
        /// How many fields the row has.
        fields: u64,
        /// How many it should have.
        columns: u64,
    },
    /// The file ends within quotes.
    #[error("a quote is opened and never closed; is the file cut off?")]
    OpenQuote,
    /// The bytes are no text.
    #[error("the row is not UTF-8")]
    NotUtf8,
    /// The number of the entry is none.
    #[error("txnidx {0:?} is not a number")]
    Index(String),
    /// The date is none.
    #[error("date {0:?} is not a day such as 2024-12-31")]
    Date(String),
    /// The amount cannot be taken as it is.
    #[error("amount {0}")]
    Amount(#[from] InvalidAmount),
    /// The account cannot be taken as it is.
    #[error(transparent)]
    Account(#[from] InvalidAccountId),
    /// The commodity cannot be taken as it is.
    #[error(transparent)]
    Commodity(#[from] InvalidCommodity),
    /// Rows with one `txnidx` do not belong together.
    #[error("the row has the txnidx of the entry before it, but another {0}")]
    Mixed(&'static str),
    /// The entry would be refused.
    #[error("{0}")]
    Entry(EntryRefusal),
    /// The last entry would be refused.
    #[error("{0}; it is the last entry: is the file cut off?")]
    LastEntry(EntryRefusal),
    /// The file cannot be read on.
    #[error("the file cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

impl JournalProblem {
    fn at(self, line: u64) -> JournalError {
        JournalError { line, problem: self }
    }
}

/// A journal that is being read: an iterator over its entries, which ends after the first error.
#[derive(Debug)]
pub struct Journal<R> {
    rows: csv::Reader<Lines<R>>,
    last_line: u64,
    columns: Columns,
    record: StringRecord,
    begun: Option<BegunEntry>,
    equal_entries: HashMap<Fingerprint, u32>,
    ended: bool,
}

impl<R: Read> Journal<R> {
    /// Begins to read: the names of the columns.
    ///
    /// # Errors
    /// [`JournalError`] where the file is empty or a column is missing.
    pub fn new(file: R) -> Result<Self, JournalError> {
        let mut rows = csv::Reader::from_reader(Lines::new(file));
        let columns = rows.headers().map_err(unread_row).and_then(Columns::find);
        Ok(Self {
            columns: columns.map_err(|problem| problem.at(1))?,
            rows,
            last_line: 1,
            record: StringRecord::new(),
            begun: None,
            equal_entries: HashMap::new(),
            ended: false,
        })
    }

    /// The next entry, where there is one.
    fn read_entry(&mut self) -> Result<Option<JournalEntry>, JournalError> {
        while let Some(row) = self.read_row()? {
            match &mut self.begun {
                Some(begun) if begun.index == row.index => begun.add(row)?,
                begun => {
                    if let Some(complete) = begun.replace(BegunEntry::new(row)) {
                        return self.complete(complete, JournalProblem::Entry).map(Some);
                    }
                }
            }
        }
        match self.begun.take() {
            Some(last) => self.complete(last, JournalProblem::LastEntry).map(Some),
            None => Ok(None),
        }
    }

    fn read_row(&mut self) -> Result<Option<Row>, JournalError> {
        let begin = self.rows.position().byte();
        let read = self.rows.read_record(&mut self.record);
        let line = match read {
            Ok(false) => self.last_line,
            _ => self.rows.get_mut().line_from(begin),
        };
        self.last_line = line;
        match read {
            Ok(true) => self.columns.read(&self.record, line).map(Some),
            Ok(false) if self.rows.get_ref().quotes_odd => Err(JournalProblem::OpenQuote),
            Ok(false) => Ok(None),
            Err(error) => Err(unread_row(error)),
        }
        .map_err(|problem| problem.at(line))
    }

    fn complete(
        &mut self,
        begun: BegunEntry,
        refused: fn(EntryRefusal) -> JournalProblem,
    ) -> Result<JournalEntry, JournalError> {
        let BegunEntry { line, head, postings, comments, .. } = begun;
        let mut parts = vec![head.date.to_string(), head.code, head.description.clone(), head.comment];
        for (posting, comment) in postings.iter().zip(comments) {
            parts.push(format!("{:?}", posting.kind));
            parts.push(posting.account.to_string());
            // By value: a journal may show more digits of the same amount one day.
            parts.push(posting.amount.normalize().to_string());
            parts.push(posting.commodity.as_str().to_owned());
            parts.push(comment);
        }
        let content = Fingerprint::of(parts.iter().map(String::as_bytes));
        let entry = PostEntry { date: head.date, description: head.description, postings };
        entry.check().map_err(|refusal| refused(refusal).at(line))?;
        let equal = self.equal_entries.entry(content).or_default();
        let ordinal = *equal;
        *equal += 1;
        Ok(JournalEntry { line, identity: EntryIdentity { content, ordinal }, entry })
    }
}

impl<R: Read> Iterator for Journal<R> {
    type Item = Result<JournalEntry, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let entry = self.read_entry().transpose();
        self.ended = !matches!(entry, Some(Ok(_)));
        entry
    }
}

fn unread_row(error: csv::Error) -> JournalProblem {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        csv::ErrorKind::Utf8 { .. } => JournalProblem::NotUtf8,
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            JournalProblem::FieldCount { fields: len, columns: expected_len }
        }
        kind => io::Error::other(format!("{kind:?}")).into(),
    }
}

/// Where the columns are that are read.
#[derive(Debug)]
struct Columns {
    index: usize,
    date: usize,
    description: usize,
    account: usize,
    amount: usize,
    commodity: usize,
    code: Option<usize>,
    comment: Option<usize>,
    posting_comment: Option<usize>,
}

impl Columns {
    fn find(header: &StringRecord) -> Result<Self, JournalProblem> {
        if header.iter().all(str::is_empty) {
            return Err(JournalProblem::Empty);
        }
        let place = |column| header.iter().position(|name| name == column);
        let needed = |column| {
            place(column).ok_or_else(|| JournalProblem::MissingColumn {
                column,
                present: header.iter().map(str::to_owned).collect(),
            })
        };
        Ok(Self {
            index: needed("txnidx")?,
            date: needed("date")?,
            description: needed("description")?,
            account: needed("account")?,
            amount: needed("amount")?,
            commodity: needed("commodity")?,
            code: place("code"),
            comment: place("comment"),
            posting_comment: place("posting-comment"),
        })
    }

    fn read(&self, record: &StringRecord, line: u64) -> Result<Row, JournalProblem> {
        // The reader lets only rows pass that are as long as the header.
        let field = |place: Option<usize>| place.and_then(|place| record.get(place)).unwrap_or_default();
        let needed = |place| field(Some(place));
        let index = needed(self.index);
        let (account, kind) = account_and_kind(needed(self.account));
        Ok(Row {
            line,
            index: index.parse().map_err(|_| JournalProblem::Index(index.to_owned()))?,
            head: Head {
                date: parse_date(needed(self.date))?,
                code: field(self.code).to_owned(),
                description: needed(self.description).to_owned(),
                comment: field(self.comment).to_owned(),
            },
            posting: Posting {
                account: AccountId::new(account)?,
                amount: parse_amount(needed(self.amount))?,
                commodity: Commodity::new(needed(self.commodity))?,
                kind,
            },
            comment: field(self.posting_comment).to_owned(),
        })
    }
}

/// A virtual posting is written with its account in brackets or parentheses, which are no part of
/// the account's name.
fn account_and_kind(written: &str) -> (&str, PostingKind) {
    let within = |open, close| written.strip_prefix(open).and_then(|rest: &str| rest.strip_suffix(close));
    if let Some(account) = within('(', ')') {
        (account, PostingKind::Virtual)
    } else if let Some(account) = within('[', ']') {
        (account, PostingKind::BalancedVirtual)
    } else {
        (written, PostingKind::Real)
    }
}

/// Reads `2024-12-31` and nothing else that a date could be written as.
fn parse_date(text: &str) -> Result<Date, JournalProblem> {
    let parsed = text.parse::<Date>().ok();
    parsed.filter(|date| date.to_string() == text).ok_or_else(|| JournalProblem::Date(text.to_owned()))
}

/// One posting, with what every row repeats of its entry.
struct Row {
    line: u64,
    index: u64,
    head: Head,
    posting: Posting,
    comment: String,
}

/// What every row repeats of its entry.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    date: Date,
    code: String,
    description: String,
    comment: String,
}

/// An entry whose rows are still being read.
#[derive(Debug)]
struct BegunEntry {
    line: u64,
    index: u64,
    head: Head,
    postings: Vec<Posting>,
    comments: Vec<String>,
}

impl BegunEntry {
    fn new(row: Row) -> Self {
        let Row { line, index, head, posting, comment } = row;
        Self { line, index, head, postings: vec![posting], comments: vec![comment] }
    }

    fn add(&mut self, row: Row) -> Result<(), JournalError> {
        let same = [
            ("date", self.head.date == row.head.date),
            ("code", self.head.code == row.head.code),
            ("description", self.head.description == row.head.description),
            ("comment", self.head.comment == row.head.comment),
        ];
        if let Some((field, _)) = same.into_iter().find(|(_, same)| !same) {
            return Err(JournalProblem::Mixed(field).at(row.line));
        }
        if self.postings.len() == POSTINGS_MAX {
            let (postings, postings_max) = (POSTINGS_MAX + 1, POSTINGS_MAX);
            let refusal = EntryRefusal::TooManyPostings { postings, postings_max };
            return Err(JournalProblem::Entry(refusal).at(self.line));
        }
        self.postings.push(row.posting);
        self.comments.push(row.comment);
        Ok(())
    }
}

/// Passes bytes on and knows what the CSV reader does not tell: in which line a row begins, also
/// with empty lines and line feeds of two characters, and whether the last quote is closed.
#[derive(Debug)]
struct Lines<R> {
    inner: R,
    /// How many bytes were passed on.
    offset: u64,
    /// The line they end in.
    line: u64,
    line_is_empty: bool,
    /// Where lines that are not empty begin, with their numbers, from the row that is read on.
    begins: VecDeque<(u64, u64)>,
    quotes_odd: bool,
}

impl<R> Lines<R> {
    fn new(inner: R) -> Self {
        Self { inner, offset: 0, line: 1, line_is_empty: true, begins: VecDeque::new(), quotes_odd: false }
    }

    /// The first line that is not empty at an offset or after it. Offsets asked for only grow.
    fn line_from(&mut self, offset: u64) -> u64 {
        while self.begins.front().is_some_and(|(begin, _)| *begin < offset) {
            self.begins.pop_front();
        }
        self.begins.front().map_or(self.line, |(_, line)| *line)
    }

    fn pass(&mut self, byte: u8) {
        match byte {
            b'\n' => {
                self.line += 1;
                self.line_is_empty = true;
            }
            b'\r' => {}
            _ => {
                if self.line_is_empty {
                    self.begins.push_back((self.offset, self.line));
                    self.line_is_empty = false;
                }
                self.quotes_odd ^= byte == b'"';
            }
        }
        self.offset += 1;
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        buffer[..count].iter().for_each(|byte| self.pass(*byte));
        Ok(count)
    }
}
