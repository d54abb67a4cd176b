//! A log as a file: one JSON value a line, so that any program can read it.
//!
//! ```text
//! {"header":{"underlay_log":2,"store":"…","tenant":null},"check":"…"}   which log; of which tenant (null: all)
//! {"commit":{…},"check":"…"}                                            a line a commit, as they were stored
//! {"end":{"commits":2,"events":3},"check":"…"}                          nothing was cut off
//! ```
//!
//! `check` is the first half of a SHA-256 over the check of the line before and this line's content,
//! so a line that was changed, lost, doubled or moved shows at its number.
//!
//! This program writes format 2 and reads format 1 too. Format 2 adds:
//!
//! - An event whose payload is not plain has `encoding`, and `key_id` where a key sealed it. The text of the
//!   payload goes from store to store as it is.
//! - A commit may have `work`: what it sends on. This program writes none: see below.
//! - Newer programs may write further members and kinds of lines. What leaves a store must come back whole,
//!   and no store keeps what its program does not know. So a member of a commit, or a kind of line, that is not
//!   known is refused with its name, and so is `work`. Nothing is dropped. Members of the header and of the
//!   end line describe the file alone; those that are not known are passed over.
//!
//! An export is the log, and no work is part of that. What was sent was sent, and a file that carried it would send it
//! once more from the other store. So whoever moves a store lets its work end first: what is left stays behind. A
//! command that waits does not run in the other store, nor when it is submitted there again by the same key: the commit
//! that submitted it is known, and the command is told as discarded. A timer that waits does not come due there. Schedules and the places of
//! processes and pumps are not in the log either. `export` says how much work stays behind.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use underlay_core::{
    Archive, ArchivedCommit, CommitId, Error, EventId, EventType, Fingerprint, Json, LogScope, Outcome,
    Payload, Position, RecordedEvent, SchemaVersion, StoreId, StreamName, TenantId, Timestamp, Version,
};
use uuid::Uuid;

/// The version of the format that is written.
const FORMAT: u32 = 2;
/// The oldest version that is read.
const FORMAT_MIN: u32 = 1;
/// What a reader says of something it does not know.
const NEWER: &str = "a newer program wrote it, and importing it here would lose it; use that program";
/// Commits stored in one transaction by an import.
const IMPORT_COMMITS_MAX: usize = 500;
/// Bytes of lines past which such a transaction takes no more commits.
const IMPORT_BYTES_MAX: usize = 16 << 20;
/// Bytes in one line; a commit and its escapes stay well below.
const LINE_BYTES_MAX: u64 = 256 << 20;

/// What a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveCount {
    /// Commits.
    pub commits: u64,
    /// Events.
    pub events: u64,
}

/// What an import did with the commits of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogImport {
    /// Commits stored.
    pub stored: u64,
    /// Commits that were there before.
    pub known: u64,
    /// Commits of other tenants than the one that was asked for.
    pub left_out: u64,
}

/// Why a file cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A line is damaged. Lines count from 1.
    #[error("line {line}: {reason}")]
    Line {
        /// The line.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

#[derive(Serialize, Deserialize)]
struct HeaderLine {
    underlay_log: u32,
    store: StoreId,
    tenant: Option<TenantId>,
}

#[derive(Serialize)]
struct Checked<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<&'a RawValue>,
    check: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckedText<'a> {
    #[serde(borrow)]
    header: Option<&'a RawValue>,
    #[serde(borrow)]
    commit: Option<&'a RawValue>,
    #[serde(borrow)]
    end: Option<&'a RawValue>,
    check: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommitLine {
    tenant: TenantId,
    id: CommitId,
    fingerprint: String,
    outcome: Outcome,
    recorded_at: Timestamp,
    events: Vec<EventLine>,
    /// What the commit sends on. It is never written, and refused where it is read.
    #[serde(default, skip_serializing)]
    work: Vec<IgnoredAny>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventLine {
    stream: StreamName,
    version: Version,
    event_id: EventId,
    #[serde(rename = "type")]
    event_type: EventType,
    schema_version: SchemaVersion,
    payload: Json,
    /// Where the payload is not plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoding: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    metadata: Json,
}

impl From<ArchivedCommit> for CommitLine {
    fn from(commit: ArchivedCommit) -> Self {
        let event = |event: RecordedEvent| EventLine {
            stream: event.stream,
            version: event.version,
            event_id: event.event_id,
            event_type: event.event_type,
            schema_version: event.schema_version,
            encoding: (!event.payload.is_plain()).then(|| event.payload.encoding().to_owned()),
            key_id: event.payload.key_id().map(str::to_owned),
            payload: event.payload.text().clone(),
            metadata: event.metadata,
        };
        Self {
            tenant: commit.tenant,
            id: commit.id,
            fingerprint: commit.fingerprint.to_string(),
            outcome: commit.outcome,
            recorded_at: commit.recorded_at,
            events: commit.events.into_iter().map(event).collect(),
            work: Vec::new(),
        }
    }
}

impl CommitLine {
    /// Reads a line.
    fn read(content: &str) -> Result<ArchivedCommit, String> {
        let line: Self = serde_json::from_str(content).map_err(|error| {
            let unknown = error.is_data() && error.to_string().starts_with("unknown field");
            if unknown { format!("{error}: {NEWER}") } else { error.to_string() }
        })?;
        line.into_commit()
    }

    fn into_commit(self) -> Result<ArchivedCommit, String> {
        if !self.work.is_empty() {
            let count = self.work.len();
            return Err(format!("commit {} has `work` ({count}), which no import stores: {NEWER}", self.id));
        }
        // The sixteen bytes of a fingerprint and of a UUID have the same hexadecimal form.
        let fingerprint =
            Uuid::try_parse(&self.fingerprint).map_err(|_| "the fingerprint is not 32 hex digits")?;
        let count = self.events.len();
        let payload = |text, encoding: Option<&str>, key_id: Option<&str>| match encoding {
            Some(encoding) => Payload::encoded(text, encoding, key_id).map_err(|error| error.to_string()),
            None if key_id.is_some() => Err("an event has a key id and no encoding".to_owned()),
            None => Ok(Payload::from(text)),
        };
        let event = |(number, event): (usize, EventLine)| {
            Ok(RecordedEvent {
                position: Position::START,
                tenant: self.tenant.clone(),
                stream: event.stream,
                version: event.version,
                event_id: event.event_id,
                event_type: event.event_type,
                schema_version: event.schema_version,
                payload: payload(event.payload, event.encoding.as_deref(), event.key_id.as_deref())?,
                metadata: event.metadata,
                recorded_at: self.recorded_at,
                commit_tail: u32::try_from(count - number - 1).unwrap_or(u32::MAX),
            })
        };
        Ok(ArchivedCommit {
            events: self.events.into_iter().enumerate().map(event).collect::<Result<_, String>>()?,
            tenant: self.tenant,
            id: self.id,
            fingerprint: Fingerprint(*fingerprint.as_bytes()),
            outcome: self.outcome,
            recorded_at: self.recorded_at,
        })
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Header,
    Commit,
    End,
}

/// Chains the checks of the lines.
struct Chain(String);

impl Chain {
    fn next(&mut self, content: &str) -> String {
        self.0 = Fingerprint::of([self.0.as_bytes(), content.as_bytes()]).to_string();
        self.0.clone()
    }

    fn write(
        &mut self,
        out: &mut impl Write,
        kind: Kind,
        content: &impl Serialize,
    ) -> Result<(), ArchiveError> {
        let json = Json::encode(content)?;
        let raw: &RawValue =
            serde_json::from_str(json.as_str()).map_err(|error| Error::Damaged(error.to_string()))?;
        let check = self.next(raw.get());
        let line = match kind {
            Kind::Header => Checked { header: Some(raw), commit: None, end: None, check },
            Kind::Commit => Checked { header: None, commit: Some(raw), end: None, check },
            Kind::End => Checked { header: None, commit: None, end: Some(raw), check },
        };
        let text = Json::encode(&line)?;
        Ok(writeln!(out, "{}", text.as_str())?)
    }
}

/// Writes a log, or one tenant's part of it. `told` is given the commits written so far.
///
/// # Errors
/// [`ArchiveError`].
pub async fn export_log(
    archive: &dyn Archive,
    store: StoreId,
    scope: &LogScope,
    out: &mut impl Write,
    mut told: impl FnMut(&ArchiveCount),
) -> Result<ArchiveCount, ArchiveError> {
    let tenant = match scope {
        LogScope::Tenant(tenant) => Some(tenant.clone()),
        LogScope::EveryTenant => None,
    };
    let mut chain = Chain(String::new());
    chain.write(out, Kind::Header, &HeaderLine { underlay_log: FORMAT, store, tenant })?;
    let (mut count, mut after) = (ArchiveCount::default(), 0);
    loop {
        let page = archive.read_commits(scope, after, IMPORT_COMMITS_MAX).await?;
        for commit in page.commits {
            count.commits += 1;
            count.events += commit.events.len() as u64;
            chain.write(out, Kind::Commit, &CommitLine::from(commit))?;
        }
        told(&count);
        after = page.next;
        if page.at_end {
            break;
        }
    }
    chain.write(out, Kind::End, &count)?;
    out.flush()?;
    Ok(count)
}

/// Reads a whole file without storing anything.
///
/// # Errors
/// [`ArchiveError::Line`] at the first damaged line.
pub fn verify_log(input: impl BufRead) -> Result<ArchiveCount, ArchiveError> {
    verify_tenants(input, |_| {})
}

/// The same; `told` hears whose each commit is.
///
/// # Errors
/// As [`verify_log`].
pub fn verify_tenants(
    input: impl BufRead,
    mut told: impl FnMut(&TenantId),
) -> Result<ArchiveCount, ArchiveError> {
    let mut lines = Lines::begin(input)?;
    while let Some(commit) = lines.next_commit()? {
        told(&commit.tenant);
    }
    Ok(lines.count)
}

/// Stores the commits of a file, or one tenant's part of them. Those that are there are passed over, so an import that was
/// interrupted goes on. `told` is given the commits read so far. Verify the file first.
///
/// # Errors
/// [`ArchiveError`]; what came before the line is stored.
pub async fn import_log(
    archive: &dyn Archive,
    scope: &LogScope,
    input: impl BufRead,
    mut told: impl FnMut(u64),
) -> Result<LogImport, ArchiveError> {
    let mut lines = Lines::begin(input)?;
    let mut total = LogImport::default();
    loop {
        let first_line = lines.line + 1;
        let mut batch = lines.next_batch(IMPORT_BYTES_MAX)?;
        if batch.is_empty() {
            return Ok(total);
        }
        let read = batch.len();
        if let LogScope::Tenant(tenant) = scope {
            batch.retain(|commit| commit.tenant == *tenant);
        }
        total.left_out += (read - batch.len()) as u64;
        let last_line = lines.line;
        let imported = archive.import_commits(batch).await.map_err(|error| match error {
            error @ (Error::Conflict(_) | Error::IdReused(_) | Error::Invalid(_)) => ArchiveError::Line {
                line: first_line,
                reason: format!(
                    "the commits of lines {first_line} to {last_line} do not fit this log: {error}"
                ),
            },
            error => error.into(),
        })?;
        total.stored += imported.stored;
        total.known += imported.known;
        told(total.stored + total.known + total.left_out);
    }
}

/// Reads and checks a file line by line.
struct Lines<R> {
    input: R,
    text: String,
    line: u64,
    chain: Chain,
    count: ArchiveCount,
    tenant: Option<TenantId>,
    ended: bool,
}

impl<R: BufRead> Lines<R> {
    fn begin(input: R) -> Result<Self, ArchiveError> {
        let chain = Chain(String::new());
        let count = ArchiveCount::default();
        let mut lines =
            Self { input, text: String::new(), line: 0, chain, count, tenant: None, ended: false };
        if !lines.read_line()? {
            return Err(lines.damaged("the file is empty; an export begins with a header"));
        }
        let header = match lines.parse()? {
            (Kind::Header, content) => serde_json::from_str::<HeaderLine>(&content),
            _ => return Err(lines.damaged("an export begins with a header")),
        };
        match header {
            Ok(header) if (FORMAT_MIN..=FORMAT).contains(&header.underlay_log) => {
                lines.tenant = header.tenant
            }
            Ok(header) => {
                let format = header.underlay_log;
                let reason = format!("the format is {format}, this program reads {FORMAT_MIN} to {FORMAT}");
                return Err(lines.damaged(reason));
            }
            Err(error) => return Err(lines.damaged(format!("the header cannot be read: {error}"))),
        }
        Ok(lines)
    }

    /// Commits up to a number and a size of their lines, and one at least; none at the end.
    fn next_batch(&mut self, bytes_max: usize) -> Result<Vec<ArchivedCommit>, ArchiveError> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while (batch.is_empty() || bytes < bytes_max)
            && batch.len() < IMPORT_COMMITS_MAX
            && let Some(commit) = self.next_commit()?
        {
            bytes += self.text.len();
            batch.push(commit);
        }
        Ok(batch)
    }

    fn next_commit(&mut self) -> Result<Option<ArchivedCommit>, ArchiveError> {
        if self.ended {
            return Ok(None);
        }
        if !self.read_line()? {
            return Err(self.damaged("the file was cut off: its end line is missing"));
        }
        match self.parse()? {
            (Kind::Commit, content) => {
                let commit = CommitLine::read(&content).map_err(|reason| self.damaged(reason))?;
                if self.tenant.as_ref().is_some_and(|tenant| *tenant != commit.tenant) {
                    return Err(self.damaged("the commit is another tenant's than the header says"));
                }
                commit.validate().map_err(|error| self.damaged(error.to_string()))?;
                self.count.commits += 1;
                self.count.events += commit.events.len() as u64;
                Ok(Some(commit))
            }
            (Kind::End, content) => {
                self.ended = true;
                let count = serde_json::from_str::<ArchiveCount>(&content).ok();
                if count != Some(self.count) {
                    return Err(self.damaged("the end line counts other commits than the file holds"));
                }
                if self.read_line()? {
                    return Err(self.damaged("there is more after the end line"));
                }
                Ok(None)
            }
            (Kind::Header, _) => Err(self.damaged("a second header")),
        }
    }

    fn read_line(&mut self) -> Result<bool, ArchiveError> {
        self.text.clear();
        self.line += 1;
        let mut bytes = Vec::new();
        let read = std::io::Read::take(&mut self.input, LINE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
        match String::from_utf8(bytes) {
            Ok(text) => self.text = text,
            Err(_) => return Err(self.damaged("not UTF-8")),
        }
        Ok(read > 0)
    }

    fn parse(&mut self) -> Result<(Kind, String), ArchiveError> {
        let parsed: CheckedText<'_> = match serde_json::from_str(self.text.trim_end_matches('\n')) {
            Ok(parsed) => parsed,
            Err(error) => {
                return Err(self.damaged(match unknown_kind(&self.text) {
                    Some(kind) => {
                        format!("a line of the kind {kind:?}, which this program does not know: {NEWER}")
                    }
                    None => format!("not a line of an export: {error}"),
                }));
            }
        };
        let (kind, content) = match (parsed.header, parsed.commit, parsed.end) {
            (Some(content), None, None) => (Kind::Header, content.get().to_owned()),
            (None, Some(content), None) => (Kind::Commit, content.get().to_owned()),
            (None, None, Some(content)) => (Kind::End, content.get().to_owned()),
            _ => return Err(self.damaged("a line holds one of header, commit and end")),
        };
        let check = parsed.check;
        if check != self.chain.next(&content) {
            return Err(
                self.damaged("the checksum does not fit: the line was changed, or one before it is missing")
            );
        }
        Ok((kind, content))
    }

    fn damaged(&self, reason: impl Into<String>) -> ArchiveError {
        ArchiveError::Line { line: self.line, reason: reason.into() }
    }
}

/// The kind of a line that is sound and of no kind this program knows.
fn unknown_kind(line: &str) -> Option<String> {
    const KNOWN: [&str; 4] = ["header", "commit", "end", "check"];
    let members: BTreeMap<String, IgnoredAny> = serde_json::from_str(line).ok()?;
    members.into_keys().find(|name| !KNOWN.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use underlay_core::memory::MemoryEventStore;
    use underlay_core::{Commit, EventStore, ExpectedVersion, NewEvent};

    use super::*;

    fn commit(stream: &str) -> Commit {
        let event =
            NewEvent::new(EventType::new("noted").unwrap(), SchemaVersion(1), Json::encode("ä\"\n").unwrap());
        Commit::new(CommitId::draw()).append(
            StreamName::parse(stream).unwrap(),
            ExpectedVersion::Any,
            vec![event],
        )
    }

    async fn exported() -> (MemoryEventStore, Vec<u8>) {
        let store = MemoryEventStore::default();
        for (tenant, stream) in [("a", "note-1"), ("b", "note-1"), ("a", "note-2"), ("a", "note-1")] {
            store.commit(&TenantId::new(tenant).unwrap(), commit(stream)).await.unwrap();
        }
        let refusal =
            Outcome::Refused { code: "no".into(), message: "No.".into(), body: Json::encode(&1).unwrap() };
        let refused = Commit::new(CommitId::draw()).with_outcome(refusal);
        store.commit(&TenantId::new("b").unwrap(), refused).await.unwrap();
        let mut file = Vec::new();
        export_log(&store, store.store_id(), &LogScope::EveryTenant, &mut file, |_| {}).await.unwrap();
        (store, file)
    }

    #[tokio::test]
    async fn a_log_goes_through_a_file_and_importing_again_changes_nothing() {
        let (store, file) = exported().await;
        assert_eq!(verify_log(&file[..]).unwrap(), ArchiveCount { commits: 5, events: 4 });
        let target = MemoryEventStore::default();
        assert_eq!(
            import_log(&target, &LogScope::EveryTenant, &file[..], |_| {}).await.unwrap(),
            LogImport { stored: 5, known: 0, left_out: 0 }
        );
        assert_eq!(
            import_log(&target, &LogScope::EveryTenant, &file[..], |_| {}).await.unwrap(),
            LogImport { stored: 0, known: 5, left_out: 0 }
        );
        let all = LogScope::EveryTenant;
        assert_eq!(
            store.read_commits(&all, 0, 100).await.unwrap(),
            target.read_commits(&all, 0, 100).await.unwrap()
        );
    }

    #[tokio::test]
    async fn an_import_holds_few_large_commits_at_a_time() {
        let (_, file) = exported().await;
        let mut lines = Lines::begin(&file[..]).unwrap();
        assert_eq!(lines.next_batch(0).unwrap().len(), 1, "there is always one");
        // Lines differ by the digits of their times.
        let bytes_max = lines.text.len() + 16;
        assert_eq!(lines.next_batch(bytes_max).unwrap().len(), 2, "the second goes past the limit");
        assert_eq!(lines.next_batch(IMPORT_BYTES_MAX).unwrap().len(), 2, "the rest");
        assert_eq!(lines.next_batch(IMPORT_BYTES_MAX).unwrap().len(), 0, "the end");
    }

    #[tokio::test]
    async fn every_kind_of_damage_names_its_line() {
        let (_, file) = exported().await;
        let text = String::from_utf8(file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let join = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let mut swapped = lines.clone();
        swapped.swap(2, 3);
        let without = |at: usize| [&lines[..at], &lines[at + 1..]].concat();
        let cases = [
            (String::new(), 1, "empty"),
            (text.replacen("note-2", "note-3", 1), 4, "checksum"),
            (join(&swapped), 3, "checksum"),
            (join(&without(2)), 3, "checksum"),
            (join(&lines[..4]), 5, "cut off"),
            (text[..text.len() / 2].to_owned(), text[..text.len() / 2].lines().count() as u64, "not a line"),
            (join(&lines[1..]), 1, "checksum"),
            (format!("{text}{}\n", lines[1]), 8, "after the end"),
        ];
        for (damaged, expected, part) in cases {
            match verify_log(damaged.as_bytes()).unwrap_err() {
                ArchiveError::Line { line, reason } => {
                    assert_eq!(line, expected, "{reason}");
                    assert!(reason.contains(part), "{reason}");
                }
                other => panic!("{other}"),
            }
        }
    }

    /// A file with the lines of this content, each checked.
    fn file_of(lines: &[(&str, String)]) -> String {
        let mut chain = Chain(String::new());
        let line = |(kind, content): &(&str, String)| {
            format!("{{\"{kind}\":{content},\"check\":\"{}\"}}\n", chain.next(content))
        };
        lines.iter().map(line).collect()
    }

    #[test]
    fn what_a_newer_program_wrote_is_named_and_never_dropped() {
        let header = |format: u32, more: &str| {
            format!("{{\"underlay_log\":{format},\"store\":\"{}\",\"tenant\":null{more}}}", Uuid::nil())
        };
        let commit = |more: &str, of_event: &str| {
            format!(
                "{{\"tenant\":\"a\",\"id\":\"{id}\",\"fingerprint\":\"{}\",\"outcome\":\"accepted\",\
                 \"recorded_at\":\"2026-01-02T03:04:05Z\",\"events\":[{{\"stream\":\"note-1\",\"version\":1,\
                 \"event_id\":\"{id}\",\"type\":\"noted\",\"schema_version\":1,\"payload\":1,\
                 \"metadata\":{{}}{of_event}}}]{more}}}",
                "0".repeat(32),
                id = Uuid::nil()
            )
        };
        let end = |more: &str| format!("{{\"commits\":1,\"events\":1{more}}}");
        let whole = |format, of_header: &str, commit: String, of_end: &str| {
            file_of(&[("header", header(format, of_header)), ("commit", commit), ("end", end(of_end))])
        };
        for sound in [
            whole(1, "", commit("", ""), ""),
            whole(2, "", commit("", ""), ""),
            whole(2, ",\"program\":\"x\"", commit(",\"work\":[]", ""), ",\"work\":0"),
            whole(2, "", commit("", ",\"encoding\":\"zstd\""), ""),
        ] {
            assert_eq!(
                verify_log(sound.as_bytes()).unwrap(),
                ArchiveCount { commits: 1, events: 1 },
                "{sound}"
            );
        }
        let refused = r#"{"refused":{"code":"no","message":"No.","body":null,"status":409}}"#;
        let kind = file_of(&[("header", header(2, "")), ("work", "{}".to_owned()), ("end", end(""))]);
        for (file, line, parts) in [
            (whole(3, "", commit("", ""), ""), 1, ["the format is 3", "reads 1 to 2"]),
            (whole(0, "", commit("", ""), ""), 1, ["the format is 0", "reads 1 to 2"]),
            (whole(2, "", commit(",\"rows\":[]", ""), ""), 2, ["unknown field `rows`", "newer program"]),
            (whole(2, "", commit("", ",\"seal\":1"), ""), 2, ["unknown field `seal`", "newer program"]),
            (whole(2, "", commit(",\"work\":[{}]", ""), ""), 2, ["`work` (1)", "newer program"]),
            (
                whole(2, "", commit("", "").replace("\"accepted\"", refused), ""),
                2,
                ["field `status`", "newer program"],
            ),
            (whole(2, "", commit("", ",\"key_id\":\"k\""), ""), 2, ["key id", "no encoding"]),
            (whole(2, "", commit("", ",\"encoding\":\"A\""), ""), 2, ["encoding", "a-z"]),
            (kind, 2, ["kind \"work\"", "newer program"]),
        ] {
            match verify_log(file.as_bytes()).unwrap_err() {
                ArchiveError::Line { line: told, reason } => {
                    assert_eq!(told, line, "{reason}");
                    assert!(parts.iter().all(|part| reason.contains(part)), "{reason}");
                }
                other => panic!("{other}"),
            }
        }
    }

    #[tokio::test]
    async fn one_tenant_can_be_exported_alone() {
        let (store, _) = exported().await;
        let mut file = Vec::new();
        let scope = LogScope::Tenant(TenantId::new("a").unwrap());
        let count = export_log(&store, store.store_id(), &scope, &mut file, |_| {}).await.unwrap();
        assert_eq!(count, ArchiveCount { commits: 3, events: 3 });
        assert!(!String::from_utf8(file).unwrap().contains("\"tenant\":\"b\""));
    }

    #[tokio::test]
    async fn one_tenant_can_be_imported_alone() {
        let (_, file) = exported().await;
        let target = MemoryEventStore::default();
        let scope = LogScope::Tenant(TenantId::new("a").unwrap());
        let imported = import_log(&target, &scope, &file[..], |_| {}).await.unwrap();
        assert_eq!(imported, LogImport { stored: 3, known: 0, left_out: 2 });
        let stored = target.read_commits(&LogScope::EveryTenant, 0, 100).await.unwrap().commits;
        assert!(stored.len() == 3 && stored.iter().all(|commit| commit.tenant.as_str() == "a"));
        // The rest follows, beside what is known.
        let imported = import_log(&target, &LogScope::EveryTenant, &file[..], |_| {}).await.unwrap();
        assert_eq!(imported, LogImport { stored: 2, known: 3, left_out: 0 });
    }
}
