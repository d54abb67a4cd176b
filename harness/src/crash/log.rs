//! The log of the bank as it is after a kill, read from its start.

use std::collections::{BTreeMap, HashMap, HashSet};

use underlay_core::limits::PAGE_EVENTS_MAX;
use underlay_core::{
    CommitId, Event, LogFilter, LogScope, Metadata, Position, RecordedEvent, StreamName, StreamVersion,
    TenantId,
};

use super::bank::AccountEvent;
use crate::Result;
use crate::balances::Movement;
use crate::subject::OpenStore;

/// What a log was found to hold.
#[derive(Default)]
pub(super) struct Log {
    pub(super) head: u64,
    /// What each command wrote.
    pub(super) commits: HashMap<CommitId, Written>,
    /// The balance of each account after each of its events, by position.
    pub(super) histories: BTreeMap<(TenantId, String), Vec<(u64, i64)>>,
}

/// What a command wrote.
pub(super) struct Written {
    pub(super) tenant: TenantId,
    pub(super) position: u64,
    pub(super) versions: Vec<StreamVersion>,
    pub(super) events: Vec<(String, AccountEvent)>,
}

impl Log {
    /// Reads a log from its start; adds what is wrong with it by itself.
    pub(super) async fn read(open: &OpenStore, wrong: &mut Vec<String>) -> Result<Self> {
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
                    wrong.push(format!(
                        "version {} of {} follows version {version}",
                        event.version, event.stream
                    ));
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

    fn add_commit(&mut self, records: Vec<RecordedEvent>, wrong: &mut Vec<String>) -> Result<()> {
        let mut written: Option<(CommitId, Written)> = None;
        for record in &records {
            let position = record.position.number();
            let metadata: Metadata = record.metadata.decode()?;
            let id = metadata.command_id.ok_or_else(|| format!("the event at {position} has no command"))?;
            let event = AccountEvent::decode(
                record.event_type.as_str(),
                record.schema_version.0,
                record.payload.text().as_str(),
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
    pub(super) fn balance_at(&self, tenant: &TenantId, account: &str, position: u64) -> (i64, usize) {
        let history = self.histories.get(&(tenant.clone(), account.to_owned()));
        let history = history.map_or(&[][..], Vec::as_slice);
        let version = history.partition_point(|(at, _)| *at <= position);
        (version.checked_sub(1).map_or(0, |last| history[last].1), version)
    }
}
