//! Connections of the pool, and transactions on them.
//!
//! A transaction names its role, its tenant and its limits for itself alone, so that nothing is left
//! on the connection for the next one, and a pooler between may give every transaction another
//! connection. A reader's statements are sent at once, from BEGIN to COMMIT, and wait for one round trip.
//!
//! Every transaction asks whether it is on a standby: what it reads there may be old, and is not used.
//! Its connection is let go, and another server is looked for.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use deadpool::Runtime;
use deadpool::managed::{self, PoolError, TimeoutType};
use futures_util::TryStreamExt as _;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, IsolationLevel, Row};
use underlay_core::{Error, TenantId};

use crate::address::Address;
use crate::config::{PostgresConfig, milliseconds};
use crate::error::Failure;
use crate::link::Connector;
use crate::seen::Seen;

/// How often a transaction is begun again after a lost connection, a deadlock or a serialization failure.
const ATTEMPTS_MAX: usize = 4;

type Pool = managed::Pool<Connector>;
type Object = managed::Object<Connector>;

/// A value with its type, as a statement takes it.
pub(crate) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// Who reads or writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    /// Reads what belongs to one tenant.
    Reader(TenantId),
    /// Writes snapshots of one tenant.
    Writer(TenantId),
    /// Works across tenants.
    Worker,
}

/// The connections, and what every transaction on them begins with.
pub(crate) struct Sessions {
    pool: Pool,
    connections_max: usize,
    transaction_timeout: Duration,
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
        let pool = Pool::builder(Connector(address.clone()))
            .max_size(config.connections_max)
            .wait_timeout(Some(config.acquire_timeout))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Failure::refused(format!("the pool of connections: {error}")))?;
        Ok(Self {
            pool,
            connections_max: config.connections_max,
            transaction_timeout: config.transaction_timeout,
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
        self.pool.close();
    }

    /// Runs statements in a read-only transaction, all at one moment, and gives `read` their answers.
    pub(crate) async fn read<T>(
        &self,
        actor: &Actor,
        statements: &[Statement<'_>],
        mut read: impl FnMut(Vec<Vec<Row>>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut attempt = 1;
        loop {
            match self.read_once(actor, statements).await {
                Ok(rows) => return read(rows),
                Err(failure) if attempt < ATTEMPTS_MAX && self.mends(&failure) => {
                    tracing::debug!(%failure, attempt, "a read is begun again");
                }
                Err(failure) => return Err(failure),
            }
            attempt += 1;
        }
    }

    async fn read_once(&self, actor: &Actor, statements: &[Statement<'_>]) -> Result<Vec<Vec<Row>>, Failure> {
        let session = self.acquire().await?;
        let reading = self.read_on(&session, actor, statements);
        match timeout(self.transaction_timeout, reading).await {
            Ok(read) => read,
            Err(_) => Err(self.give_up(session)),
        }
    }

    /// As [`Sessions::read`], once and on a connection outside the pool.
    pub(crate) async fn read_on(
        &self,
        client: &Client,
        actor: &Actor,
        statements: &[Statement<'_>],
    ) -> Result<Vec<Vec<Row>>, Failure> {
        let begin = send(client.batch_execute(READ_ONLY)).await;
        let settings = send(self.settle(client, actor)).await;
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

    /// As [`Sessions::read`], for pages that may be large: the rows of the last statement are taken one
    /// by one until `take` says no. The statements before it are answered first.
    pub(crate) async fn read_page<P>(
        &self,
        actor: &Actor,
        before: &[Statement<'_>],
        page: Statement<'_>,
        mut start: impl FnMut(Vec<Vec<Row>>) -> Result<P, Failure>,
        mut take: impl FnMut(&mut P, Row) -> Result<bool, Failure>,
    ) -> Result<P, Failure> {
        let mut attempt = 1;
        loop {
            match self.read_page_once(actor, before, &page, &mut start, &mut take).await {
                Ok(page) => return Ok(page),
                Err(failure) if attempt < ATTEMPTS_MAX && self.mends(&failure) => {
                    tracing::debug!(%failure, attempt, "a page is begun again");
                }
                Err(failure) => return Err(failure),
            }
            attempt += 1;
        }
    }

    async fn read_page_once<P>(
        &self,
        actor: &Actor,
        before: &[Statement<'_>],
        page: &Statement<'_>,
        start: &mut impl FnMut(Vec<Vec<Row>>) -> Result<P, Failure>,
        take: &mut impl FnMut(&mut P, Row) -> Result<bool, Failure>,
    ) -> Result<P, Failure> {
        let session = self.acquire().await?;
        let reading = self.read_page_on(&session, actor, before, page, start, take);
        match timeout(self.transaction_timeout, reading).await {
            Ok(Ok((page, PageEnd::Whole))) => Ok(page),
            Ok(Ok((page, PageEnd::Cut))) => {
                // What the server still sends of this page nobody wants; closing says so.
                drop(Object::take(session));
                Ok(page)
            }
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(self.give_up(session)),
        }
    }

    async fn read_page_on<P>(
        &self,
        client: &Client,
        actor: &Actor,
        before: &[Statement<'_>],
        page: &Statement<'_>,
        start: &mut impl FnMut(Vec<Vec<Row>>) -> Result<P, Failure>,
        take: &mut impl FnMut(&mut P, Row) -> Result<bool, Failure>,
    ) -> Result<(P, PageEnd), Failure> {
        let begin = send(client.batch_execute(READ_ONLY)).await;
        let settings = send(self.settle(client, actor)).await;
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
        actor: &Actor,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Failure> {
        let mut attempt = 1;
        loop {
            match self.write_once(actor, sql, parameters).await {
                Err(failure) if attempt < ATTEMPTS_MAX && self.mends(&failure) => {
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
        actor: &Actor,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Failure> {
        let written = {
            let session = self.acquire().await?;
            let writing = self.write_on(&session, actor, sql, parameters);
            match timeout(self.transaction_timeout, writing).await {
                Ok(written) => written,
                Err(_) => Err(self.give_up(session)),
            }
        };
        written.inspect_err(|failure| self.let_go(failure))
    }

    async fn write_on(
        &self,
        client: &Client,
        actor: &Actor,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Failure> {
        let begin = send(client.batch_execute(READ_WRITE)).await;
        let settings = send(self.settle(client, actor)).await;
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

    /// Runs a transaction that writes, and runs it again after a deadlock or a serialization failure, and
    /// where the server took no writes.
    pub(crate) async fn write<T>(&self, actor: &Actor, work: &impl Work<Done = T>) -> Result<T, Failure> {
        let mut attempt = 1;
        loop {
            match self.write_through(actor, work).await {
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

    async fn write_through<T>(&self, actor: &Actor, work: &impl Work<Done = T>) -> Result<T, Failure> {
        let mut session = self.acquire().await?;
        let writing = self.write_through_on(&mut session, actor, work);
        match timeout(self.transaction_timeout, writing).await {
            Ok(written) => written,
            Err(_) => Err(self.give_up(session)),
        }
    }

    async fn write_through_on<T>(
        &self,
        client: &mut Client,
        actor: &Actor,
        work: &impl Work<Done = T>,
    ) -> Result<T, Failure> {
        // Dropped before its end it rolls back, also where the caller goes away.
        let transaction =
            client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await?;
        let settings = send(self.settle(transaction.client(), actor)).await;
        let guard = send(self.guard(transaction.client())).await;
        settings.answer().await?;
        guard.answer().await?;
        let done = work.run(transaction.client()).await?;
        transaction.commit().await?;
        Ok(done)
    }

    /// Tells everybody who listens on a channel.
    pub(crate) async fn notify(&self, channel: &str) -> Result<(), Failure> {
        let told = {
            let session = self.acquire().await?;
            let parameters: [Parameter<'_>; 1] = [(&channel, Type::TEXT)];
            let telling = session.query_typed(include_str!("sql/notify_channel.sql"), &parameters);
            match timeout(self.transaction_timeout, telling).await {
                Ok(told) => told.map(drop).map_err(Failure::from),
                Err(_) => Err(self.give_up(session)),
            }
        };
        told.inspect_err(|failure| self.let_go(failure))
    }

    /// Closes a connection that fell silent: whoever got it next would wait too.
    fn give_up(&self, session: Object) -> Failure {
        drop(Object::take(session));
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
    /// likely to be, so they are closed; the one it happened on is among them by now.
    fn let_go(&self, failure: &Failure) {
        if failure.is_lost() || failure.is_of_a_reader() {
            self.pool.retain(|_, _| false);
        }
    }

    /// A connection of the pool, waiting for one as long as may be waited.
    async fn acquire(&self) -> Result<Object, Failure> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(failure) => failure,
            PoolError::Timeout(TimeoutType::Wait) => Failure::Full(format!(
                "every connection is in use (connections_max = {}, acquire_timeout was reached)",
                self.connections_max
            )),
            PoolError::Closed => Failure::Answer(Error::unavailable("the store is closed")),
            error => Failure::NoConnection(format!("no connection to PostgreSQL: {error}")),
        })
    }

    /// Names role, tenant and limits for the transaction that was begun, on a server that is no standby.
    async fn settle(&self, client: &Client, actor: &Actor) -> Result<(), Failure> {
        let (role, tenant) = match actor {
            Actor::Reader(tenant) => (&self.reader, tenant.as_str()),
            Actor::Writer(tenant) => (&self.writer, tenant.as_str()),
            Actor::Worker => (&self.worker, ""),
        };
        let parameters: [Parameter<'_>; 5] = [
            (&role, Type::TEXT),
            (&tenant, Type::TEXT),
            (&self.search_path, Type::TEXT),
            (&self.statement_timeout, Type::TEXT),
            (&self.idle_timeout, Type::TEXT),
        ];
        let row = client.query_typed_one(include_str!("sql/set_transaction.sql"), &parameters).await?;
        if row.try_get("standby")? {
            return Err(Failure::ReadsOnly("a connection is at a standby".to_owned()));
        }
        Ok(())
    }

    /// Lets the server give up the transaction where this process, or the network between, falls silent:
    /// nobody waits for its locks longer than a transaction may take.
    async fn guard(&self, client: &Client) -> Result<(), Failure> {
        let longest = milliseconds(self.transaction_timeout);
        client.query_typed(include_str!("sql/guard_transaction.sql"), &[(&longest, Type::INT8)]).await?;
        Ok(())
    }
}

const READ_ONLY: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const READ_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

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
pub(crate) struct Statement<'a> {
    pub(crate) sql: &'a str,
    pub(crate) parameters: Vec<Parameter<'a>>,
}

impl<'a> Statement<'a> {
    pub(crate) fn new(sql: &'a str, parameters: impl Into<Vec<Parameter<'a>>>) -> Self {
        Self { sql, parameters: parameters.into() }
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
