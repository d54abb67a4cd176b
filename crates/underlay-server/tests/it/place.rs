//! A service to send requests to, in process.

use std::borrow::Cow;
use std::io::Read;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::http::request::Builder;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use flate2::read::GzDecoder;
use hyper::body::{Frame, SizeHint};
use serde_json::Value;
use tower::ServiceExt;
use underlay_core::memory::{
    MemoryCheckpoints, MemoryEntities, MemoryLeases, MemoryReadModels, MemorySchedules, MemorySnapshots,
    MemorySpans,
};
use underlay_core::{
    Clock, Commit, CommitId, EventStore, EventType, ExpectedVersion, Json, ManualClock, NewEvent,
    SchemaVersion, StreamName, TenantId, Timestamp,
};
use underlay_runtime::{
    Engine, EngineConfig, EntityStore, EntityStores, Ports, Registry, RunningViews, Stores, Traces,
    WatchedStore, WorkPorts,
};
use underlay_server::{Credentials, Denied, LogReaders, Principal, ServerConfig, bearer};
use underlay_testkit::Over;

use crate::account::registry;
use crate::contract::{Contract, Sent};
use crate::failing_store::FailingStore;

pub struct Place {
    pub router: Router,
    pub engine: Engine,
    pub store: Over<FailingStore>,
    pub read_models: MemoryReadModels,
    pub leases: MemoryLeases,
    pub clock: Arc<ManualClock>,
    /// None where the router is not all there is.
    pub contract: Option<Contract>,
    _views: Option<RunningViews>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Its body for people, as much as they will read.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.body[..self.body.len().min(2_000)]).into_owned()
    }

    /// Its body, as it was before it was compressed.
    pub fn unpacked(&self) -> Cow<'_, [u8]> {
        if self.header("content-encoding") != Some("gzip") {
            return Cow::Borrowed(&self.body);
        }
        let mut unpacked = Vec::new();
        GzDecoder::new(&self.body[..]).read_to_end(&mut unpacked).unwrap();
        Cow::Owned(unpacked)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.unpacked()).unwrap_or_else(|error| panic!("{error}: {}", self.shown()))
    }

    /// The answer of a success.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        self.json()
    }

    /// The answer of a problem, with what every problem has checked.
    #[track_caller]
    pub fn problem(&self, status: u16, problem_type: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["type"], format!("urn:underlay:{problem_type}"), "{problem}");
        assert_eq!(problem["status"], status);
        for member in ["title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {problem}");
        }
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        problem
    }

    /// What a problem says.
    #[track_caller]
    pub fn invalid(&self) -> String {
        self.problem(400, "problem:invalid")["detail"].as_str().unwrap().to_owned()
    }
}

/// A body that notes what is taken of it.
struct Noted {
    body: Body,
    taken: Arc<Mutex<Vec<u8>>>,
}

impl HttpBody for Noted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.taken.lock().unwrap().extend(frame.data_ref().into_iter().flatten());
        }
        polled
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Place {
    /// A service of one tenant, without its views.
    pub fn new() -> Self {
        Self::with(|config| config)
    }

    /// The same, with its views running.
    pub fn with_views() -> Self {
        let mut place = Self::new();
        place._views = Some(place.engine.start_views());
        place
    }

    pub fn with(configure: impl FnOnce(ServerConfig) -> ServerConfig) -> Self {
        Self::of(registry(), configure)
    }

    pub fn of(registry: Registry, configure: impl FnOnce(ServerConfig) -> ServerConfig) -> Self {
        Self::of_engine(registry, EngineConfig::default(), Vec::new(), configure)
    }

    /// A service whose traces are recorded.
    pub fn recording(spans: &MemorySpans) -> Self {
        let traces = Traces::recorded_by(Arc::new(spans.clone()));
        let engine = EngineConfig { traces, ..EngineConfig::default() };
        Self::of_engine(registry(), engine, Vec::new(), |config| config)
    }

    /// A service with stores that are asked how they are.
    pub fn watching(health: Vec<WatchedStore>) -> Self {
        Self::of_engine(registry(), EngineConfig::default(), health, |config| config)
    }

    fn of_engine(
        registry: Registry,
        engine: EngineConfig,
        health: Vec<WatchedStore>,
        configure: impl FnOnce(ServerConfig) -> ServerConfig,
    ) -> Self {
        let store = Over(FailingStore::default());
        let clock = Arc::new(ManualClock::new(Timestamp::now()));
        let leases = MemoryLeases::new(clock.clone());
        let read_models = MemoryReadModels::with_leases(leases.clone());
        let work = WorkPorts {
            queue: Arc::new(store.inner.clone()),
            schedules: Arc::new(MemorySchedules::default()),
            checkpoints: Arc::new(MemoryCheckpoints::default()),
            leases: None,
            scheduler: None,
        };
        let ports = Ports {
            work: Some(work),
            store: Arc::new(store.clone()),
            read_models: Arc::new(read_models.clone()),
            wakeups: Arc::new(store.inner.clone()),
            snapshots: Some(Arc::new(MemorySnapshots::default())),
            leases: Some(Arc::new(leases.clone())),
            clock: clock.clone(),
        };
        let entities = EntityStore::new("memory:", Arc::new(MemoryEntities::default()));
        let stores = Stores { entities: EntityStores::new(entities), health, ..Stores::default() };
        let engine = Engine::with_stores(ports, stores, registry, engine).unwrap();
        let config = configure(ServerConfig::new("Bank").open_to(tenant("acme")));
        let contract = Some(Contract::of(engine.registry(), &config));
        let router = underlay_server::router(engine.clone(), config).unwrap();
        Self { router, engine, store, read_models, leases, clock, contract, _views: None }
    }

    /// Sends a request, for this machine where it does not say otherwise. Whatever is answered is held against what is
    /// said of the API.
    pub async fn send(&self, mut request: Request<Body>) -> Answer {
        let host = HeaderValue::from_static("localhost");
        request.headers_mut().entry("host").or_insert(host);
        let mut sent = Sent {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            body: Vec::new(),
        };
        let taken = Arc::new(Mutex::default());
        let request = request.map(|body| Body::new(Noted { body, taken: taken.clone() }));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        sent.body = std::mem::take(&mut *taken.lock().unwrap());
        if let Some(contract) = &self.contract {
            contract.check(&sent, &answer);
        }
        answer
    }

    /// Sends a request and leaves the body of its answer where it is.
    pub async fn answer_untaken(&self, mut request: Request<Body>) -> Response<Body> {
        request.headers_mut().insert("host", HeaderValue::from_static("localhost"));
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Stores events of a megabyte, each in a commit of its own.
    pub async fn store_big_events(&self, owner: &str, stream: &str, count: usize) {
        for _ in 0..count {
            self.store_big_commit(owner, stream, 1).await;
        }
    }

    /// Stores a commit of events of a megabyte; more than fit into one get smaller payloads.
    pub async fn store_big_commit(&self, owner: &str, stream: &str, count: usize) {
        let size = (1_000_000).min(15_000_000 / count);
        let stream = StreamName::parse(stream).unwrap();
        let payload = Json::encode(&"x".repeat(size)).unwrap();
        let event = || NewEvent::new(EventType::new("noted").unwrap(), SchemaVersion(1), payload.clone());
        let events = (0..count).map(|_| event()).collect();
        let commit = Commit::new(CommitId::draw()).append(stream, ExpectedVersion::Any, events);
        self.store.inner.commit(&tenant(owner), commit).await.unwrap();
    }

    /// Sends a request that waits for time to pass, and lets it pass.
    pub async fn send_while_time_passes(&self, request: Request<Body>) -> Answer {
        let time = async {
            loop {
                self.clock.advance(Duration::from_millis(100));
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            answer = self.send(request) => answer,
            () = time => unreachable!("time goes on for ever"),
        }
    }

    /// What the clock shows.
    pub fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(post(path, body)).await
    }

    /// Deposits, and says at which position.
    pub async fn deposit(&self, account: &str, amount: &str) -> String {
        let body = format!(r#"{{"amount":"{amount}"}}"#);
        let answer = self.post(&format!("/v1/account/{account}/deposit"), &body).await;
        answer.ok()["position"].as_str().unwrap().to_owned()
    }
}

pub fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub fn json_request(path: &str) -> Builder {
    Request::builder().method(Method::POST).uri(path).header("content-type", "application/json")
}

pub fn post(path: &str, body: &str) -> Request<Body> {
    json_request(path).body(Body::from(body.to_owned())).unwrap()
}

pub fn post_with(path: &str, body: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let with = |request: Builder, (name, value): &(&str, &str)| request.header(*name, *value);
    headers.iter().fold(json_request(path), with).body(Body::from(body.to_owned())).unwrap()
}

pub fn get_with(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let with = |request: Builder, (name, value): &(&str, &str)| request.header(*name, *value);
    headers.iter().fold(Request::get(path), with).body(Body::empty()).unwrap()
}

pub fn put_with(path: &str, body: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let with = |request: Builder, (name, value): &(&str, &str)| request.header(*name, *value);
    let request = json_request(path).method(Method::PUT);
    headers.iter().fold(request, with).body(Body::from(body.to_owned())).unwrap()
}

pub fn delete_with(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let with = |request: Builder, (name, value): &(&str, &str)| request.header(*name, *value);
    headers.iter().fold(Request::delete(path), with).body(Body::empty()).unwrap()
}

/// Takes `Authorization: Bearer <tenant>` at its word; `guest` may not come in. After a dot follow roles,
/// each after another dot. Everybody reads the log.
pub struct ByHeader;

#[async_trait]
impl Credentials for ByHeader {
    async fn identify(&self, headers: &HeaderMap) -> Result<Principal, Denied> {
        let mut parts = bearer(headers)?.split('.');
        match parts.next().unwrap_or_default() {
            "guest" => Err(Denied::Forbidden("guests may not come in".to_owned())),
            name => {
                let principal = Principal::new(tenant(name)).with_actor(format!("someone at {name}"));
                Ok(parts.fold(principal, Principal::with_role).with_role(LogReaders::ROLE_DEFAULT))
            }
        }
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}
