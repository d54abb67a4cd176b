//! Connections of the pools, and transactions on them.
//!
//! There are two pools, so that one cannot take the other's: queries, which requests ask for, and what
//! commands, views and leases wait for. In each, tenants take turns. A turn ends when the server has ended
//! what was sent on its connection, also where the caller went away before: or those who go away would
//! leave work behind on one connection after another, and whoever came next would wait for it. A query has
//! a deadline, which the server keeps.
//!
//! A transaction names its role, its tenant and its limits for itself alone, so that nothing is left
//! on the connection for the next one, and a pooler between may give every transaction another
//! connection. A reader's statements are sent at once, from BEGIN to COMMIT, and wait for one round trip.
//!
//! Every transaction asks whether it is on a standby: what it reads there may be old, and is not used.
//! Its connection is let go, and another server is looked for.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use deadpool::Runtime;
use deadpool::managed::{self, PoolError, TimeoutType};
use futures_util::TryStreamExt as _;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, IsolationLevel, Row};
use underlay_core::adapter::{ReadLimits, ReadTurn, ReadTurns};
use underlay_core::{Clock, Error, TenantId};

use crate::config::{PostgresConfig, milliseconds};
use crate::connections::address::Address;
use crate::connections::link::Connector;
use crate::error::Failure;
use crate::log::seen::Seen;

/// How often a transaction is begun again after a lost connection, a deadlock or a serialization failure.
const ATTEMPTS_MAX: usize = 4;

type Pool = managed::Pool<Connector>;
type Object = managed::Object<Connector>;

/// A value with its type, as a statement takes it.
pub(crate) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// Who reads or writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SessionRole {
    /// Reads what belongs to one tenant.
    Reader(TenantId),
    /// Writes snapshots of one tenant.
    Writer(TenantId),
    /// Works across tenants.
    Worker,
}

/// The connections, and what every transaction on them begins with.
pub(crate) struct Sessions {
    engine: Lane,
    queries: Lane,
    timer: Arc<dyn Clock>,
    transaction_timeout: Duration,
    query_timeout: Duration,
    pub(crate) seen: Seen,
    search_path: String,
    statement_timeout: String,
    idle_timeout: String,
    reader: String,
    writer: String,
    worker: String,
}

impl Sessions {
    pub(crate) fn new(address: &Address, config: &PostgresConfig) -> Result<Self, Failure> {
        let engine = ReadLimits {
            wait_max: config.acquire_timeout,
            ..ReadLimits::of_the_engine(config.connections_max)
        };
        Ok(Self {
            engine: Lane::new(address, config, "connections_max", engine)?,
            queries: Lane::new(address, config, "query_limits.running_max", config.query_limits.clone())?,
            timer: config.timer.clone(),
            transaction_timeout: config.transaction_timeout,
            query_timeout: config.query_timeout,
            seen: Seen::default(),
            search_path: format!("pg_catalog, {}, {}, pg_temp", config.schema, config.views_schema()),
            statement_timeout: config.statement_timeout.as_millis().to_string(),
            idle_timeout: config.idle_timeout.as_millis().to_string(),
            reader: config.role("reader"),
            writer: config.role("writer"),
            worker: config.role("worker"),
        })
    }

    /// Closes every connection that is not in use, and the others when they are given back.
    pub(crate) fn close(&self) {
        for lane in [&self.engine, &self.queries] {
            lane.turns.close();
            lane.pool.close();
        }
    }

    /// Runs statements in a read-only transaction, all at one moment, and gives `read` their answers.
    pub(crate) async fn read<T>(
        &self,
        role: &SessionRole,
        statements: &[Statement<'_>],
        mut read: impl FnMut(Vec<Vec<Row>>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut attempt = 1;
        loop {
            match self.read_once(role, statements).await {
                Ok(rows) => return read(rows),
                Err(failure) if attempt < ATTEMPTS_MAX && self.mends(&failure) => {
                    tracing::debug!(%failure, attempt, "a read is begun again");
                }
                Err(failure) => return Err(failure),
            }
            attempt += 1;
        }
    }

    async fn read_once(
        &self,
        role: &SessionRole,
        statements: &[Statement<'_>],
    ) -> Result<Vec<Vec<Row>>, Failure> {
        let session = self.acquire(&self.engine, role).await?;
        let reading = self.read_on(session.client(), role, statements);
        match timeout(self.transaction_timeout, reading).await {
            Ok(read) => self.end(session, read),
            Err(_) => Err(self.give_up(session)),
        }
    }

    /// Runs what a request of a tenant asks for: one try after the other, each in a read-only transaction,
    /// until `read` takes the answers of one. `is_exact` says that it looks at no row beside those it gives.
    pub(crate) async fn query<T>(
        &self,
        tenant: &TenantId,
        is_exact: bool,
        tries: &[Vec<Statement<'_>>],
        mut read: impl FnMut(Vec<Vec<Row>>) -> Result<Option<T>, Failure>,
    ) -> Result<Option<T>, Failure> {
        let role = SessionRole::Reader(tenant.clone());
        let mut attempt = 1;
        loop {
            match self.query_once(&role, tries, &mut read).await {
                Err(failure) if attempt < ATTEMPTS_MAX && self.mends(&failure) => {
                    tracing::debug!(%failure, attempt, "a query is begun again");
                    attempt += 1;
                }
                found => return found.map_err(|failure| self.too_slow(failure, is_exact)),
            }
        }
    }

    async fn query_once<T>(
        &self,
        role: &SessionRole,
        tries: &[Vec<Statement<'_>>],
        read: &mut impl FnMut(Vec<Vec<Row>>) -> Result<Option<T>, Failure>,
    ) -> Result<Option<T>, Failure> {
        let session = self.acquire(&self.queries, role).await?;
        let began = self.timer.now();
        let querying = async {
            for statements in tries {
                // Where the clock was set back meanwhile, no time has passed.
                let passed = Duration::try_from(self.timer.now().duration_since(began)).unwrap_or_default();
                let left = self.query_timeout.saturating_sub(passed);
                if let Some(found) = read(self.query_on(session.client(), role, left, statements).await?)? {
                    return Ok(Some(found));
                }
            }
            Ok(None)
        };
        match timeout(self.transaction_timeout, querying).await {
            Ok(found) => self.end(session, found),
            Err(_) => Err(self.give_up(session)),
        }
    }

    async fn query_on(
        &self,
        client: &Client,
        role: &SessionRole,
        left: Duration,
        statements: &[Statement<'_>],
    ) -> Result<Vec<Vec<Row>>, Failure> {
        let limits = QueryLimits::new(left);
        let mut sent = vec![limits.statement()];
        sent.extend(statements.iter().cloned());
        let mut answers = self.read_on(client, role, &sent).await?;
        answers.remove(0);
        Ok(answers)
    }

    /// What is told a query that the server ended at its deadline.
    fn too_slow(&self, failure: Failure, is_exact: bool) -> Failure {
        match failure.code() {
            Some(&SqlState::QUERY_CANCELED) => {
                Failure::Answer(Error::query_too_slow(self.query_timeout, is_exact))
            }
            _ => failure,
        }
    }

    /// As [`Sessions::read`], once and on a connection outside the pools.
    pub(crate) async fn read_on(
        &self,
        client: &Client,
        role: &SessionRole,
        statements: &[Statement<'_>],
    ) -> Result<Vec<Vec<Row>>, Failure> {
        let begin = send(client.batch_execute(READ_ONLY)).await;
        let settings = send(self.take_role(client, role)).await;
        let mut sent = Vec::with_capacity(statements.len());
        for statement in statements {
            sent.push(send(client.query_typed(statement.sql, &statement.parameters)).await);
        }
        let end = send(client.batch_execute("COMMIT")).await;
        // All was sent when the first poll came back, so a caller that goes away leaves a connection
        // whose transaction ends by itself.
        begin.answer().await?;
        settings.answer().await?;
        let mut rows = Vec::with_capacity(sent.len());
        for answer in sent {
            rows.push(answer.answer().await?);
        }
        end.answer().await?;
        Ok(rows)
    }

    /// As [`Sessions::read`] or as [`Sessions::query`], for pages that may be large: the rows of the last
    /// statement are taken one by one until `take` says no. The statements before it are answered first.
    pub(crate) async fn read_page<P>(
        &self,
        purpose: Purpose,
        role: &SessionRole,
        before: &[Statement<'_>],
        page: Statement<'_>,
        mut start: impl FnMut(Vec<Vec<Row>>) -> Result<P, Failure>,
        mut take: impl FnMut(&mut P, Row) -> Result<bool, Failure>,
    ) -> Result<P, Failure> {
        let mut attempt = 1;
        loop {
            match self.read_page_once(purpose, role, before, &page, &mut start, &mut take).await {
                Ok(page) => return Ok(page),
                Err(failure) if attempt < ATTEMPTS_MAX && self.mends(&failure) => {
                    tracing::debug!(%failure, attempt, "a page is begun again");
                }
                Err(failure) => {
                    return Err(match purpose {
                        Purpose::Engine => failure,
                        Purpose::Query { is_exact } => self.too_slow(failure, is_exact),
                    });
                }
            }
            attempt += 1;
        }
    }

    async fn read_page_once<P>(
        &self,
        purpose: Purpose,
        role: &SessionRole,
        before: &[Statement<'_>],
        page: &Statement<'_>,
        start: &mut impl FnMut(Vec<Vec<Row>>) -> Result<P, Failure>,
        take: &mut impl FnMut(&mut P, Row) -> Result<bool, Failure>,
    ) -> Result<P, Failure> {
        let lane = match purpose {
            Purpose::Engine => &self.engine,
            Purpose::Query { .. } => &self.queries,
        };
        let session = self.acquire(lane, role).await?;
        let is_query = matches!(purpose, Purpose::Query { .. });
        let limits = is_query.then(|| QueryLimits::new(self.query_timeout));
        let before: Vec<Statement<'_>> =
            limits.iter().map(QueryLimits::statement).chain(before.iter().cloned()).collect();
        let start = |mut answers: Vec<Vec<Row>>| {
            if is_query {
                answers.remove(0);
            }
            start(answers)
        };
        let reading = self.read_page_on(session.client(), role, &before, page, start, take);
        match timeout(self.transaction_timeout, reading).await {
            Ok(Ok((page, PageEnd::Whole))) => {
                session.give_back();
                Ok(page)
            }
            Ok(Ok((page, PageEnd::Cut))) => {
                // What the server still sends of this page nobody wants; closing says so.
                session.close();
                Ok(page)
            }
            Ok(Err(failure)) => self.end(session, Err(failure)),
            Err(_) => Err(self.give_up(session)),
        }
    }

    async fn read_page_on<P>(
        &self,
        client: &Client,
        role: &SessionRole,
        before: &[Statement<'_>],
        page: &Statement<'_>,
        start: impl FnOnce(Vec<Vec<Row>>) -> Result<P, Failure>,
        take: &mut impl FnMut(&mut P, Row) -> Result<bool, Failure>,
    ) -> Result<(P, PageEnd), Failure> {
        let begin = send(client.batch_execute(READ_ONLY)).await;
        let settings = send(self.take_role(client, role)).await;
        let mut sent = Vec::with_capacity(before.len());
        for statement in before {
            sent.push(send(client.query_typed(statement.sql, &statement.parameters)).await);
        }
        let parameters = page.parameters.iter().map(|(value, kind)| (*value, kind.clone()));
        let stream = send(client.query_typed_raw(page.sql, parameters)).await;
        let end = send(client.batch_execute("COMMIT")).await;
        begin.answer().await?;
        settings.answer().await?;
        let mut rows = Vec::with_capacity(sent.len());
        for answer in sent {
            rows.push(answer.answer().await?);
        }
        let mut page = start(rows)?;
        let mut stream = Box::pin(stream.answer().await?);
        while let Some(row) = stream.try_next().await? {
            if !take(&mut page, row)? {
                return Ok((page, PageEnd::Cut));
            }
        }
        end.answer().await?;
        Ok((page, PageEnd::Whole))
    }

    /// Runs one statement that writes and may be repeated, in a transaction of its own; how many rows it
    /// changed or gave.
    pub(crate) async fn write_one(
        &self,
        role: &SessionRole,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Failure> {
        let mut attempt = 1;
        loop {
            match self.write_once(role, sql, parameters).await {
                Err(failure) if attempt < ATTEMPTS_MAX && self.mends(&failure) => {
                    tracing::debug!(%failure, attempt, "a write is begun again");
                    attempt += 1;
                }
                written => return written,
            }
        }
    }

    /// As [`Sessions::write_one`], for what must not be done twice: it is run again only where nothing was done.
    pub(crate) async fn write_anew(
        &self,
        role: &SessionRole,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Failure> {
        let mut attempt = 1;
        loop {
            match self.write_once(role, sql, parameters).await {
                Err(failure)
                    if attempt < ATTEMPTS_MAX && (failure.is_transient() || failure.is_of_a_reader()) =>
                {
                    tracing::debug!(%failure, attempt, "a write is begun again");
                    attempt += 1;
                }
                written => return written,
            }
        }
    }

    /// As [`Sessions::write_one`], once: for what must not be repeated.
    pub(crate) async fn write_once(
        &self,
        role: &SessionRole,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Failure> {
        let session = self.acquire(&self.engine, role).await?;
        let writing = self.write_on(session.client(), role, sql, parameters);
        match timeout(self.transaction_timeout, writing).await {
            Ok(written) => self.end(session, written).inspect_err(|failure| self.let_go(failure)),
            Err(_) => Err(self.give_up(session)),
        }
    }

    async fn write_on(
        &self,
        client: &Client,
        role: &SessionRole,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Failure> {
        let begin = send(client.batch_execute(READ_WRITE)).await;
        let settings = send(self.take_role(client, role)).await;
        let guard = send(self.guard(client)).await;
        let written = send(client.query_typed(sql, parameters)).await;
        // After a failure it rolls back.
        let end = send(client.batch_execute("COMMIT")).await;
        begin.answer().await?;
        settings.answer().await?;
        guard.answer().await?;
        let rows = written.answer().await?;
        end.answer().await?;
        Ok(rows)
    }

    /// Runs statements that write in one transaction, all sent at once; once, for what must not be repeated.
    pub(crate) async fn write_all(
        &self,
        role: &SessionRole,
        statements: &[Statement<'_>],
    ) -> Result<Vec<Vec<Row>>, Broken> {
        let session = self.acquire(&self.engine, role).await.map_err(Broken::from)?;
        let writing = self.write_all_on(session.client(), role, statements);
        match timeout(self.transaction_timeout, writing).await {
            Ok(Ok(answers)) => {
                session.give_back();
                Ok(answers)
            }
            Ok(Err(Broken { answers, failure })) => match self.end(session, Err::<(), Failure>(failure)) {
                Err(failure) => {
                    self.let_go(&failure);
                    Err(Broken { answers, failure })
                }
                Ok(()) => Ok(answers),
            },
            Err(_) => Err(self.give_up(session).into()),
        }
    }

    /// As [`Sessions::write_all`], on a connection outside the pools too.
    pub(crate) async fn write_all_on(
        &self,
        client: &Client,
        role: &SessionRole,
        statements: &[Statement<'_>],
    ) -> Result<Vec<Vec<Row>>, Broken> {
        let begin = send(client.batch_execute(READ_WRITE)).await;
        let settings = send(self.take_role(client, role)).await;
        let longest = milliseconds(self.transaction_timeout);
        let parameters: [Parameter<'_>; 1] = [(&longest, Type::INT8)];
        let limits = send(client.query_typed(include_str!("../sql/set_unit.sql"), &parameters)).await;
        let mut sent = Vec::with_capacity(statements.len());
        for statement in statements {
            sent.push(send(client.query_typed(statement.sql, &statement.parameters)).await);
        }
        // After a failure it rolls back.
        let end = send(client.batch_execute("COMMIT")).await;
        // All was sent when the first poll came back: a caller that goes away leaves all of it, or nothing.
        begin.answer().await?;
        settings.answer().await?;
        limits.answer().await?;
        let mut answers = Vec::with_capacity(sent.len());
        for answer in sent {
            match answer.answer().await {
                Ok(rows) => answers.push(rows),
                Err(error) => return Err(Broken { answers, failure: error.into() }),
            }
        }
        match end.answer().await {
            Ok(()) => Ok(answers),
            Err(error) => Err(Broken { answers, failure: error.into() }),
        }
    }

    /// Runs a transaction that writes, and runs it again after a deadlock or a serialization failure, and
    /// where the server took no writes.
    pub(crate) async fn write<T>(
        &self,
        role: &SessionRole,
        work: &impl Work<Done = T>,
    ) -> Result<T, Failure> {
        let mut attempt = 1;
        loop {
            match self.write_through(role, work).await {
                Err(failure)
                    if attempt < ATTEMPTS_MAX && (failure.is_transient() || failure.is_of_a_reader()) =>
                {
                    self.let_go(&failure);
                    attempt += 1;
                }
                written => return written,
            }
        }
    }

    async fn write_through<T>(&self, role: &SessionRole, work: &impl Work<Done = T>) -> Result<T, Failure> {
        let mut session = self.acquire(&self.engine, role).await?;
        let writing = self.write_through_on(session.client_mut(), role, work);
        match timeout(self.transaction_timeout, writing).await {
            Ok(written) => self.end(session, written),
            Err(_) => Err(self.give_up(session)),
        }
    }

    async fn write_through_on<T>(
        &self,
        client: &mut Client,
        role: &SessionRole,
        work: &impl Work<Done = T>,
    ) -> Result<T, Failure> {
        // Dropped before its end it rolls back, also where the caller goes away.
        let transaction =
            client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await?;
        let settings = send(self.take_role(transaction.client(), role)).await;
        let guard = send(self.guard(transaction.client())).await;
        settings.answer().await?;
        guard.answer().await?;
        let done = work.run(transaction.client()).await?;
        transaction.commit().await?;
        Ok(done)
    }

    /// Tells a text to everybody who listens on a channel.
    pub(crate) async fn notify(&self, channel: &str, text: &str) -> Result<(), Failure> {
        let session = self.acquire(&self.engine, &SessionRole::Worker).await?;
        let parameters: [Parameter<'_>; 2] = [(&channel, Type::TEXT), (&text, Type::TEXT)];
        let telling = session.client().query_typed(include_str!("../sql/notify_channel.sql"), &parameters);
        match timeout(self.transaction_timeout, telling).await {
            Ok(told) => {
                let told = told.map(drop).map_err(Failure::from);
                self.end(session, told).inspect_err(|failure| self.let_go(failure))
            }
            Err(_) => Err(self.give_up(session)),
        }
    }

    /// Gives a connection back after what was done on it. One that is lost, or at a server that takes no
    /// writes, is of no use to whoever got it next.
    fn end<T>(&self, session: Session, done: Result<T, Failure>) -> Result<T, Failure> {
        match &done {
            Ok(_) => session.give_back(),
            Err(failure) if failure.is_lost() || failure.is_of_a_reader() => session.close(),
            // It goes back once the server has ended what was sent on it.
            Err(_) => drop(session),
        }
        done
    }

    /// Closes a connection that fell silent: whoever got it next would wait too.
    fn give_up(&self, session: Session) -> Failure {
        session.close();
        Failure::Lost(format!(
            "no answer to a transaction in {:?} (transaction_timeout)",
            self.transaction_timeout
        ))
    }

    /// Whether another try may go better.
    fn mends(&self, failure: &Failure) -> bool {
        self.let_go(failure);
        failure.is_lost() || failure.is_of_a_reader() || failure.is_transient()
    }

    /// Where one connection is lost, or at a server that takes no writes, those that are not in use are
    /// likely to be, so they are closed, as the one it happened on is.
    fn let_go(&self, failure: &Failure) {
        if failure.is_lost() || failure.is_of_a_reader() {
            self.engine.pool.retain(|_, _| false);
            self.queries.pool.retain(|_, _| false);
        }
    }

    /// A connection of a pool, in the turn of whoever it is for.
    async fn acquire(&self, lane: &Lane, role: &SessionRole) -> Result<Session, Failure> {
        let tenant = match role {
            SessionRole::Reader(tenant) | SessionRole::Writer(tenant) => Some(tenant),
            SessionRole::Worker => None,
        };
        let turn = lane.turns.enter(tenant, &*self.timer).await.map_err(|error| match error {
            Error::Unavailable { reason, overloaded: true, .. } => lane.full(&reason),
            error => Failure::Answer(error),
        })?;
        let connection = lane.pool.get().await.map_err(|error| match error {
            PoolError::Backend(failure) => failure,
            PoolError::Timeout(TimeoutType::Wait) => lane.full("acquire_timeout was reached"),
            PoolError::Closed => Failure::Answer(Error::unavailable("the store is closed")),
            error => Failure::NoConnection(format!("no connection to PostgreSQL: {error}")),
        })?;
        Ok(Session { lent: Some((connection, turn)), patience: self.transaction_timeout })
    }

    /// Names role, tenant and limits for the transaction that was begun, on a server that is no standby.
    async fn take_role(&self, client: &Client, role: &SessionRole) -> Result<(), Failure> {
        let (role, tenant) = match role {
            SessionRole::Reader(tenant) => (&self.reader, tenant.as_str()),
            SessionRole::Writer(tenant) => (&self.writer, tenant.as_str()),
            SessionRole::Worker => (&self.worker, ""),
        };
        let parameters: [Parameter<'_>; 5] = [
            (&role, Type::TEXT),
            (&tenant, Type::TEXT),
            (&self.search_path, Type::TEXT),
            (&self.statement_timeout, Type::TEXT),
            (&self.idle_timeout, Type::TEXT),
        ];
        let row = client.query_typed_one(include_str!("../sql/set_transaction.sql"), &parameters).await?;
        if row.try_get("standby")? {
            return Err(Failure::ReadsOnly("a connection is at a standby".to_owned()));
        }
        Ok(())
    }

    /// Lets the server give up the transaction where this process, or the network between, falls silent:
    /// nobody waits for its locks longer than a transaction may take.
    async fn guard(&self, client: &Client) -> Result<(), Failure> {
        let longest = milliseconds(self.transaction_timeout);
        client.query_typed(include_str!("../sql/guard_transaction.sql"), &[(&longest, Type::INT8)]).await?;
        Ok(())
    }
}

const READ_ONLY: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const READ_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// Connections for one purpose, with the turns in which they are used.
struct Lane {
    pool: Pool,
    turns: ReadTurns,
    /// The limit that says how many there are, by name.
    limit: &'static str,
    connections_max: usize,
}

impl Lane {
    fn new(
        address: &Address,
        config: &PostgresConfig,
        limit: &'static str,
        limits: ReadLimits,
    ) -> Result<Self, Failure> {
        let connections_max = limits.running_max;
        // Who has a turn finds a connection: there are as many. So the wait is for one that is closing.
        let pool = Pool::builder(Connector(address.clone()))
            .max_size(connections_max)
            .wait_timeout(Some(config.acquire_timeout))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Failure::refused(format!("the pool of connections: {error}")))?;
        Ok(Self { pool, turns: ReadTurns::new(limits), limit, connections_max })
    }

    fn full(&self, reason: &str) -> Failure {
        Failure::Full(format!(
            "every connection is in use ({} = {}): {reason}",
            self.limit, self.connections_max
        ))
    }
}

/// What a page is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A command, a view, or the engine itself.
    Engine,
    /// A request. `is_exact` says that it looks at no row beside those it gives.
    Query { is_exact: bool },
}

/// A connection, and the turn it is used in. Dropped without a word, it goes back once the server has
/// ended what was sent on it.
struct Session {
    lent: Option<(Object, ReadTurn)>,
    /// How long the server may take for that.
    patience: Duration,
}

impl Session {
    fn client(&self) -> &Client {
        match &self.lent {
            Some((connection, _)) => connection,
            None => unreachable!("who gives a session back has it no more"),
        }
    }

    fn client_mut(&mut self) -> &mut Client {
        match &mut self.lent {
            Some((connection, _)) => connection,
            None => unreachable!("who gives a session back has it no more"),
        }
    }

    /// Gives back a connection on which everything was answered.
    fn give_back(mut self) {
        // The connection first: whoever has the turn next finds it.
        self.lent.take();
    }

    /// Closes the connection.
    fn close(mut self) {
        if let Some((connection, turn)) = self.lent.take() {
            drop(Object::take(connection));
            drop(turn);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some((connection, turn)) = self.lent.take() else { return };
        let Ok(runtime) = Handle::try_current() else {
            drop(Object::take(connection));
            return;
        };
        let patience = self.patience;
        runtime.spawn(async move {
            // Answered after everything that was sent before.
            if !matches!(timeout(patience, connection.batch_execute("")).await, Ok(Ok(()))) {
                drop(Object::take(connection));
            }
            drop(turn);
        });
    }
}

/// The limits of a query's transaction, in milliseconds.
struct QueryLimits {
    statement: String,
    lock: String,
}

impl QueryLimits {
    /// Those of a query that may run for so long. Where it waits for a lock for half of that it is the
    /// store that is slow, and not the query.
    fn new(left: Duration) -> Self {
        let milliseconds = |time: Duration| time.as_millis().max(1).to_string();
        Self { statement: milliseconds(left), lock: milliseconds(left / 2) }
    }

    fn statement(&self) -> Statement<'_> {
        let values: [Parameter<'_>; 2] = [(&self.statement, Type::TEXT), (&self.lock, Type::TEXT)];
        Statement::new(include_str!("../sql/set_query.sql"), values)
    }
}

/// Where the reading of a page ended.
enum PageEnd {
    /// At its last row.
    Whole,
    /// Before it: nobody wants the rest.
    Cut,
}

/// What a transaction that writes does. It may be run again, in another transaction.
#[async_trait]
pub(crate) trait Work: Sync {
    /// What it comes to.
    type Done: Send;

    /// Does it, inside the transaction the client is in.
    async fn run(&self, client: &Client) -> Result<Self::Done, Failure>;
}

/// A statement with its values.
#[derive(Clone)]
pub(crate) struct Statement<'a> {
    pub(crate) sql: &'a str,
    pub(crate) parameters: Vec<Parameter<'a>>,
}

impl<'a> Statement<'a> {
    pub(crate) fn new(sql: &'a str, parameters: impl Into<Vec<Parameter<'a>>>) -> Self {
        Self { sql, parameters: parameters.into() }
    }
}

/// A transaction of several statements that failed.
#[derive(Debug)]
pub(crate) struct Broken {
    /// The answers of the statements before the one that failed.
    pub(crate) answers: Vec<Vec<Row>>,
    pub(crate) failure: Failure,
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self { answers: Vec::new(), failure }
    }
}

impl From<tokio_postgres::Error> for Broken {
    fn from(error: tokio_postgres::Error) -> Self {
        Failure::from(error).into()
    }
}

/// A call whose request is on its way.
pub(crate) enum Sent<F: Future> {
    Answered(F::Output),
    Waiting(Pin<Box<F>>),
}

impl<F: Future> Sent<F> {
    pub(crate) async fn answer(self) -> F::Output {
        match self {
            Self::Answered(output) => output,
            Self::Waiting(call) => call.await,
        }
    }
}

/// Polls a call once, which sends its request, and gives the rest of it. So requests go out in order
/// without waiting for each other's answers.
pub(crate) async fn send<F: Future>(call: F) -> Sent<F> {
    let mut call = Some(Box::pin(call));
    poll_fn(move |context| {
        let sent = match call.take() {
            None => return Poll::Pending,
            Some(mut waiting) => match waiting.as_mut().poll(context) {
                Poll::Ready(output) => Sent::Answered(output),
                Poll::Pending => Sent::Waiting(waiting),
            },
        };
        Poll::Ready(sent)
    })
    .await
}
