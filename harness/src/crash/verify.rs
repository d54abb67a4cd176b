//! Looks at a database after a kill: is what was promised there, and nothing half done?

use std::collections::{BTreeMap, HashMap, HashSet};

use underlay_core::limits::PAGE_EVENTS_MAX;
use underlay_core::{
    Checkpoint, CommitId, Event, EventStoreExt, LogFilter, LogScope, Metadata, Outcome, Position, Query,
    RecordedEvent, Row, StreamName, StreamVersion, TenantId, View,
};
use underlay_runtime::{Engine, EngineConfig};

use super::bank::{self, AccountEvent, AccountRefusal, Balance, Balances, TENANTS};
use super::book::{Book, Entry};
use super::errand::{Answer, Ask, Errand};
use crate::Result;
use crate::address::OpenStore;
use crate::dice::Dice;

/// Promises of before that are looked up by their ids again.
const LOOKED_UP_AGAIN: usize = 100;
/// Errands that are sent again after the kill.
const SENT_AGAIN: usize = 8;
/// Rows in a page of the view: few, so that there are many pages.
const PAGE_ROWS: usize = 5;

/// What a log was found to hold.
#[derive(Default)]
struct Log {
    head: u64,
    /// What the commits under each id wrote.
    commits: HashMap<CommitId, Written>,
    /// The balance of each account after each of its events, by position.
    histories: BTreeMap<(TenantId, String), Vec<(u64, i64)>>,
}

struct Written {
    tenant: TenantId,
    position: u64,
    versions: Vec<StreamVersion>,
    events: Vec<(String, AccountEvent)>,
}

/// Looks at everything, then sends some errands again. Returns what is wrong, as sentences.
pub(crate) async fn verify(open: &OpenStore, book: &mut Book, dice: &mut Dice) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let engine = Engine::new(open.ports(), bank::registry(), EngineConfig::default())?;
    let log = read_log(open, &mut wrong).await?;
    for (id, written) in &log.commits {
        match book.find(*id) {
            Some(entry) => verify_written(entry, written, &mut wrong),
            None => wrong.push(format!("commit {id} is in the log and was never sent")),
        }
    }
    for entry in book.entries() {
        verify_promise(entry, &log, &mut wrong);
    }
    for entry in book.settle(LOOKED_UP_AGAIN, dice) {
        look_up(open, &entry, &log, &mut wrong).await?;
    }
    verify_view(open, &log, &mut wrong).await?;
    send_again(&engine, book, log.head, dice, &mut wrong).await?;
    Ok(wrong)
}

async fn read_log(open: &OpenStore, wrong: &mut Vec<String>) -> Result<Log> {
    let mut log = Log::default();
    let mut versions: HashMap<(TenantId, StreamName), u64> = HashMap::new();
    let mut ids = HashSet::new();
    let mut open_commit: Vec<RecordedEvent> = Vec::new();
    loop {
        let after = Position::from_number(log.head);
        let filter = LogFilter::default();
        let page = open.store.read_all(&LogScope::EveryTenant, after, &filter, PAGE_EVENTS_MAX).await?;
        if page.events.is_empty() {
            break;
        }
        for event in page.events {
            if event.position.number() != log.head + 1 {
                wrong.push(format!("position {} follows position {}", event.position, log.head));
            }
            log.head = event.position.number();
            let version = versions.entry((event.tenant.clone(), event.stream.clone())).or_default();
            if event.version.0 != *version + 1 {
                wrong
                    .push(format!("version {} of {} follows version {version}", event.version, event.stream));
            }
            *version = event.version.0;
            if !ids.insert((event.tenant.clone(), event.event_id)) {
                wrong.push(format!("event {} is in the log twice", event.event_id));
            }
            let tail = event.commit_tail;
            if open_commit.last().is_some_and(|before| before.commit_tail != tail + 1) {
                wrong.push(format!("the commit at {} does not go on as it said", event.position));
            }
            open_commit.push(event);
            if tail == 0 {
                log.add_commit(std::mem::take(&mut open_commit), wrong)?;
            }
        }
    }
    if let Some(last) = open_commit.last() {
        wrong.push(format!("the log ends within a commit: {} events are missing", last.commit_tail));
    }
    let head = open.store.head().await?;
    if head.number() != log.head {
        wrong.push(format!("the head of the log is {head}, its last event is at {}", log.head));
    }
    Ok(log)
}

impl Log {
    fn add_commit(&mut self, records: Vec<RecordedEvent>, wrong: &mut Vec<String>) -> Result<()> {
        let mut written: Option<(CommitId, Written)> = None;
        for record in &records {
            let position = record.position.number();
            let metadata: Metadata = record.metadata.decode()?;
            let id = metadata.command_id.ok_or_else(|| format!("the event at {position} has no command"))?;
            let event = AccountEvent::decode(
                record.event_type.as_str(),
                record.schema_version.0,
                record.payload.as_str(),
            )?;
            let event = event.ok_or_else(|| format!("the event at {position} is none of an account"))?;
            let account = record.stream.id().to_owned();
            let history = self.histories.entry((record.tenant.clone(), account.clone())).or_default();
            let balance = history.last().map_or(0, |(_, balance)| *balance) + event.change();
            if balance < 0 {
                wrong.push(format!("account {account} of {} is at {balance} at {position}", record.tenant));
            }
            history.push((position, balance));
            let (first, written) = written.get_or_insert_with(|| {
                let tenant = record.tenant.clone();
                (id, Written { tenant, position, versions: Vec::new(), events: Vec::new() })
            });
            if *first != id {
                wrong.push(format!("the commit at {position} is of two commands, {first} and {id}"));
            }
            written.position = position;
            written.versions.push(StreamVersion { stream: record.stream.clone(), version: record.version });
            written.events.push((account, event));
        }
        if let Some((id, written)) = written
            && let Some(before) = self.commits.insert(id, written)
        {
            wrong.push(format!("command {id} is in the log twice, the first time at {}", before.position));
        }
        Ok(())
    }

    /// An account's balance and version at a position.
    fn balance_at(&self, tenant: &TenantId, account: &str, position: u64) -> (i64, usize) {
        let history = self.histories.get(&(tenant.clone(), account.to_owned()));
        let history = history.map_or(&[][..], Vec::as_slice);
        let version = history.partition_point(|(at, _)| *at <= position);
        (version.checked_sub(1).map_or(0, |last| history[last].1), version)
    }
}

/// A command wrote all that it stands for, and nothing else.
fn verify_written(entry: &Entry, written: &Written, wrong: &mut Vec<String>) {
    let Errand { tenant, ask, .. } = &entry.errand;
    let meant = match ask {
        Ask::Deposit { account, cents } => {
            vec![(account.clone(), AccountEvent::Deposited { cents: *cents })]
        }
        Ask::Withdraw { account, cents } => {
            vec![(account.clone(), AccountEvent::Withdrawn { cents: *cents })]
        }
        Ask::Transfer(transfer) => {
            let (from, to, cents) = (transfer.from.clone(), transfer.to.clone(), transfer.cents);
            vec![
                (from.clone(), AccountEvent::Sent { to: to.clone(), cents }),
                (to, AccountEvent::Received { from, cents }),
            ]
        }
    };
    // The order of the streams within a commit is the store's.
    let whole =
        written.events.len() == meant.len() && meant.iter().all(|event| written.events.contains(event));
    if !whole || written.tenant != *tenant {
        wrong.push(format!("{:?} wrote {:?} for {}", entry.errand, written.events, written.tenant));
    }
}

/// What was promised is in the log, as it was promised.
fn verify_promise(entry: &Entry, log: &Log, wrong: &mut Vec<String>) {
    let written = log.commits.get(&entry.errand.id);
    match (&entry.answer, written) {
        (Some(Answer::Done { .. }), None) => {
            wrong.push(format!("lost: {:?} was acknowledged", entry.errand));
        }
        (Some(answer @ Answer::Done { position, versions }), Some(written)) => {
            if *position != written.position || *versions != written.versions {
                let Written { position, versions, .. } = written;
                wrong.push(format!("{answer:?} is at {position} in the log, with {versions:?}"));
            }
        }
        (Some(answer), Some(written)) => {
            wrong.push(format!("{:?} got {answer:?}, and is at {}", entry.errand, written.position));
        }
        // Sent and never answered: there or not.
        (None, _) | (Some(_), None) => {}
    }
}

/// The outcome that is stored under an id is the one that was promised, and was true.
async fn look_up(open: &OpenStore, entry: &Entry, log: &Log, wrong: &mut Vec<String>) -> Result<()> {
    let Entry { errand, answer: Some(answer) } = entry else { return Ok(()) };
    let Some(found) = open.store.find_commit(&errand.tenant, errand.id).await? else {
        wrong.push(format!("lost: nothing is known of {errand:?}, which got {answer:?}"));
        return Ok(());
    };
    let found = found.committed;
    match (answer, &found.outcome) {
        (Answer::Done { position, versions }, Outcome::Accepted) => {
            if found.position.number() != *position || found.versions != *versions {
                wrong.push(format!("{errand:?} got {answer:?}, and {found:?} is stored"));
            }
        }
        (Answer::Refused { code, fields }, Outcome::Refused { code: stored, body, .. })
            if code == stored && fields == body =>
        {
            let AccountRefusal::Overdrawn { balance, .. } =
                underlay_core::Refusal::decode(code, fields.as_str())
                    .ok_or_else(|| format!("the refusal of {errand:?} cannot be read"))?;
            let (Ask::Deposit { account, .. }
            | Ask::Withdraw { account, .. }
            | Ask::Transfer(bank::Transfer { from: account, .. })) = &errand.ask;
            let (actual, _) = log.balance_at(&errand.tenant, account, found.position.number());
            if balance != actual {
                wrong.push(format!("{errand:?} was refused at balance {balance}, it was {actual}"));
            }
        }
        _ => wrong.push(format!("{errand:?} got {answer:?}, and {found:?} is stored")),
    }
    Ok(())
}

/// The rows of the view are those that the log gives up to the view's checkpoint.
async fn verify_view(open: &OpenStore, log: &Log, wrong: &mut Vec<String>) -> Result<()> {
    let ports = open.ports();
    let start = Checkpoint::start(open.store.store_id());
    let table = ports.read_models.prepare(&Balances::schema(), start).await?;
    let checkpoint = ports.read_models.checkpoint(&table).await?;
    if let Err(error) = open.store.check("view balances", &checkpoint, "nothing").await {
        wrong.push(error.to_string());
    }
    let position = checkpoint.position.number();
    for tenant in TENANTS {
        let tenant = TenantId::new(tenant)?;
        let mut rows = BTreeMap::new();
        let mut query = Query::default().limit(PAGE_ROWS);
        loop {
            let page = ports.read_models.query(&table, &tenant, &query).await?;
            if page.position.number() != position {
                wrong.push(format!("a page of the view is at {}, the view at {position}", page.position));
            }
            for (account, values) in page.rows {
                let row = Balance::from_values(values).map_err(|column| format!("column {column}"))?;
                if rows.insert(account.clone(), row).is_some() {
                    wrong.push(format!("row {account} of {tenant} came twice"));
                }
            }
            match page.next {
                Some(cursor) => query.after = Some(cursor),
                None => break,
            }
        }
        for (owner, account) in log.histories.keys().filter(|(owner, _)| *owner == tenant) {
            let (cents, version) = log.balance_at(owner, account, position);
            let meant = (version > 0).then(|| Balance { cents, version: version.cast_signed() as i64 });
            let row = rows.remove(account);
            if row != meant {
                wrong.push(format!(
                    "row {account} of {tenant} is {row:?} at {position}, the log gives {meant:?}"
                ));
            }
        }
        wrong.extend(
            rows.iter().map(|(account, row)| format!("row {account} of {tenant} is {row:?} for nothing")),
        );
    }
    Ok(())
}

/// Repeats are answered as the first time, and store nothing; what got no answer gets one now.
async fn send_again(
    engine: &Engine,
    book: &mut Book,
    head: u64,
    dice: &mut Dice,
    wrong: &mut Vec<String>,
) -> Result<()> {
    let past = book.past(dice);
    let is_known = |errand: &Errand| book.find(errand.id).is_some_and(|entry| entry.answer.is_some());
    let (known, open): (Vec<Errand>, Vec<Errand>) = past.into_iter().partition(is_known);
    for errand in known.iter().take(SENT_AGAIN) {
        let answer = errand.run(engine).await;
        wrong.extend(book.answered(errand, answer));
    }
    let after = engine.store().head().await?.number();
    if after != head {
        wrong.push(format!("repeats moved the head of the log from {head} to {after}"));
    }
    for errand in open.iter().take(SENT_AGAIN) {
        let answer = errand.run(engine).await;
        wrong.extend(book.answered(errand, answer));
    }
    Ok(())
}
