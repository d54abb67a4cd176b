//! Statistics that are old: collected while others had all the rows, and a tenant they do not know has grown
//! since. The server takes it to have one row, for which every way to read looks as good.

use servers::LOGIN;
use tokio_postgres::Client as Admin;
use underlay_core::{
    Archive, Commit, CommitId, EventStore, EventType, ExpectedVersion, Json, LogFilter, LogScope, NewEvent,
    Position, SchemaVersion, StreamName, TenantId, Version,
};
use underlay_postgres::{Listen, PostgresConfig, PostgresStore};

use super::place::Place;
use crate::Result;
use crate::faults::fault::Means;
use crate::faults::report::Measured;

pub(crate) const PROMISED: &str = "reads of a tenant that the statistics do not know look at what they give, and not at \
                                   all the tenant has";

/// Events in a commit, each to another stream.
const STREAMS: u64 = 50;
/// Commits of the others, and of the tenant nobody knows.
const OTHERS: u64 = 20;
const LATE: u64 = 400;
/// Rows a read may look at beside three for each it gives: what it looks up on its way.
const BESIDE: i64 = 60;
/// How often each read is done.
const TIMES: i64 = 10;

pub(crate) async fn run(means: &Means) -> Result<Measured> {
    let mut measured = Measured::default();
    let place = Place::new(means, &["autovacuum=off"]).await?;
    let admin = place.admin().await?;
    // Nothing else looks at the log.
    let config = PostgresConfig::default()
        .with_listen(Listen::Off)
        .with_poll_interval(std::time::Duration::from_secs(3_600));
    let store = place.open(config.clone()).await?;
    for other in ["one", "two", "three"] {
        write(&store, other, OTHERS).await?;
    }
    admin.batch_execute("ANALYZE").await?;
    let last = write(&store, "late", LATE).await?;
    store.close().await?;

    let late = TenantId::new("late")?;
    let own = LogScope::Tenant(late.clone());
    let streams: Vec<StreamName> =
        (0..20).map(|number| StreamName::new("note", number)).collect::<std::result::Result<_, _>>()?;
    let open = LogFilter::default();
    let from = Position::from_number((3 * OTHERS + LATE / 2) * STREAMS);
    let reads: [(&str, i64); 6] = [
        ("a page of a stream", 10),
        ("versions of 20 streams", 20),
        ("a commit of 50 events", 50),
        ("a page of the tenant's log", 10),
        ("the next commit of an export", 50),
        ("a commit", 1),
    ];
    for (at, (what, gives)) in reads.into_iter().enumerate() {
        let before = looked_at(&admin).await?;
        let store = place.open(config.clone()).await?;
        for _ in 0..TIMES {
            match at {
                0 => drop(store.read_stream(&late, &streams[1], Version(LATE / 2), 10).await?),
                1 => drop(store.versions(&late, &streams).await?),
                2 => drop(store.find_commit(&late, last).await?),
                3 => drop(store.read_all(&own, from, &open, 10).await?),
                4 => drop(store.read_commits(&own, 3 * OTHERS + LATE / 2, 1).await?),
                _ => drop(store.commit(&late, commit(1)?).await?),
            }
        }
        store.close().await?;
        let rows = (looked_at(&admin).await? - before) / TIMES;
        measured
            .hold(rows <= 3 * gives + BESIDE, format!("{what}: {rows} rows were looked at to give {gives}"));
    }
    Ok(measured)
}

fn commit(streams: u64) -> Result<Commit> {
    let mut commit = Commit::new(CommitId::draw());
    for number in 0..streams {
        let event = NewEvent::new(EventType::new("noted")?, SchemaVersion(1), Json::encode(&number)?);
        commit = commit.append(StreamName::new("note", number)?, ExpectedVersion::Any, vec![event]);
    }
    Ok(commit)
}

/// Writes as a tenant; the last commit.
async fn write(store: &PostgresStore, tenant: &str, commits: u64) -> Result<CommitId> {
    let tenant = TenantId::new(tenant)?;
    let mut last = CommitId::draw();
    for _ in 0..commits {
        last = store.commit(&tenant, commit(STREAMS)?).await?.id;
    }
    Ok(last)
}

/// Rows that were looked at so far, once every session of the product has told.
async fn looked_at(admin: &Admin) -> Result<i64> {
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1";
    while admin.query_one(sessions, &[&LOGIN]).await?.try_get::<_, i64>(0)? > 0 {}
    let rows = "SELECT ((SELECT sum(seq_tup_read) FROM pg_stat_user_tables) \
                + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes))::bigint";
    Ok(admin.query_one(rows, &[]).await?.try_get(0)?)
}
