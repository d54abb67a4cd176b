//! Handlers as receivers: the message is read, the handler is called, and what it sends on is stored.

use std::sync::Arc;

use async_trait::async_trait;
use underlay_core::limits::WORK_RECEIVER_BYTES_MAX;
use underlay_core::{
    Attempts, Commit, CommitId, Delivery, Error, Event, EventDescriptor, EventStore, Fingerprint, Handler,
    Json, Metadata, Origin, Outgoing, TenantId, TenantReader, Work,
};

use super::one_tenant::OneTenant;
use super::receiver::{Attempt, NotDone, Receiver};
use crate::views::Views;

/// A handler, with its types erased.
pub(crate) trait HandlerEntry: Send + Sync {
    /// The messages it takes, each with the JSON Schema of its payload.
    fn message_schemas(&self) -> Vec<(EventDescriptor, Json)>;

    /// The handler as a receiver of work.
    fn receiver(self: Arc<Self>, store: &Arc<dyn EventStore>, views: &Arc<Views>) -> Arc<dyn Receiver>;
}

/// A handler as the registry keeps it.
pub(crate) struct Handling<H>(Arc<H>);

impl<H: Handler> Handling<H> {
    pub(crate) fn new(handler: H) -> Self {
        Self(Arc::new(handler))
    }
}

impl<H: Handler> HandlerEntry for Handling<H> {
    fn message_schemas(&self) -> Vec<(EventDescriptor, Json)> {
        H::Message::descriptors().into_iter().zip(H::Message::schemas()).collect()
    }

    fn receiver(self: Arc<Self>, store: &Arc<dyn EventStore>, views: &Arc<Views>) -> Arc<dyn Receiver> {
        Arc::new(MessageReceiver { handler: self.0.clone(), store: store.clone(), views: views.clone() })
    }
}

/// Checks what a handler says of itself.
pub(crate) fn check_handler(name: &str, attempts: &Attempts) -> Result<(), Error> {
    if name.is_empty() || name.len() > WORK_RECEIVER_BYTES_MAX || name.contains('\0') {
        return Err(Error::invalid(format!(
            "the name of a handler has 1 to WORK_RECEIVER_BYTES_MAX = {WORK_RECEIVER_BYTES_MAX} bytes and no NUL, \
             {name:?} has {}",
            name.len()
        )));
    }
    if attempts.attempts_max == 0 || attempts.timeout.is_zero() {
        return Err(Error::invalid(format!(
            "handler {name} has at least one attempt, and some time for it; it says {attempts:?}"
        )));
    }
    Ok(())
}

/// Gives messages to a handler.
struct MessageReceiver<H> {
    handler: Arc<H>,
    store: Arc<dyn EventStore>,
    views: Arc<Views>,
}

#[async_trait]
impl<H: Handler> Receiver for MessageReceiver<H> {
    fn attempts(&self) -> Attempts {
        self.handler.attempts()
    }

    fn holds_key(&self) -> bool {
        H::HOLDS_KEY
    }

    fn reads(&self, work: &Work) -> bool {
        let knows = |message: EventDescriptor| {
            message.name == work.sent.name && work.sent.version.0 <= message.version
        };
        work.sent.payload.is_plain() && H::Message::descriptors().into_iter().any(knows)
    }

    async fn attempt(&self, attempt: Attempt<'_>) -> Result<(), NotDone> {
        let work = attempt.work;
        let message = read_message::<H::Message>(work)?;
        let reader: Arc<dyn TenantReader> =
            Arc::new(OneTenant::new(work.tenant.clone(), self.store.clone(), self.views.clone()));
        let mut delivery = Delivery::new(work.tenant.clone(), work.id, work.sent.key.clone(), reader);
        delivery.attempt = attempt.number;
        delivery.sent_at = work.sent_at;
        delivery.deadline = attempt.deadline;
        // What cannot be read is told where something follows; the message itself can be read.
        delivery.metadata = work.metadata.decode().unwrap_or_default();
        delivery.metadata.traceparent = attempt.traceparent.clone().or(delivery.metadata.traceparent);
        let heartbeats = async {
            loop {
                delivery.heartbeat_comes().await;
                attempt.heartbeats.notify_one();
            }
        };
        let handled = tokio::select! {
            biased;
            handled = self.handler.handle(message, &delivery) => handled?,
            never = heartbeats => never,
        };
        send_on(&*self.store, work, handled.into_outgoing(), attempt.traceparent).await?;
        Ok(())
    }
}

/// Reads a message by the declaration of its type.
fn read_message<M: Event>(work: &Work) -> Result<M, NotDone> {
    let sent = &work.sent;
    let json = sent.payload.json().map_err(NotDone::last)?;
    match M::decode(&sent.name, sent.version.0, json.as_str()) {
        Ok(Some(message)) => Ok(message),
        Ok(None) => Err(NotDone::last(format!("{} takes no message {}", sent.receiver, sent.name))),
        Err(unreadable) => Err(NotDone::last(unreadable)),
    }
}

/// Stores what follows from a piece of work. Where that was done before, it stays as it was then.
///
/// # Errors
/// What the store says; [`Error::Invalid`] where something could not be written down, or is too much.
pub(crate) async fn send_on(
    store: &dyn EventStore,
    work: &Work,
    outgoing: Vec<Outgoing>,
    traceparent: Option<String>,
) -> Result<(), Error> {
    if outgoing.is_empty() {
        return Ok(());
    }
    let mut commit = Commit::new(what_follows(&work.tenant, work))
        .with_content(Fingerprint::of([b"work".as_slice(), work.id.0.as_bytes()]))
        .with_metadata(metadata_of_what_follows(work, traceparent)?);
    for sent in outgoing {
        commit = commit.send(sent.into_work()?);
    }
    store.commit(&work.tenant, commit).await?;
    Ok(())
}

/// The id of the commit of what follows from a piece of work.
fn what_follows(tenant: &TenantId, work: &Work) -> CommitId {
    CommitId::derived(tenant, Origin::Work, [work.id.0.as_bytes().as_slice()])
}

/// What is said of what follows from a piece of work: that it led to it, and the trace of the attempt; the rest is as it
/// was.
///
/// # Errors
/// [`Error::Damaged`] where the metadata of the work cannot be read.
pub(crate) fn metadata_of_what_follows(work: &Work, traceparent: Option<String>) -> Result<Metadata, Error> {
    let metadata: Metadata = work
        .metadata
        .decode()
        .map_err(|error| Error::Damaged(format!("the metadata of work {}: {error}", work.id)))?;
    let traceparent = traceparent.or(metadata.traceparent);
    Ok(Metadata { causation_id: Some(work.id.0), command_id: None, traceparent, ..metadata })
}
