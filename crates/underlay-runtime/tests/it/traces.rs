//! One trace from a request to all that follows from it, in whatever process it is done.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use underlay_core::memory::{
    MemoryCheckpoints, MemoryEventStore, MemoryReadModels, MemorySchedules, MemorySpans,
};
use underlay_core::{
    Delivery, EventStore, EventStoreExt, Handled, Handler, HandlerError, Input, Metadata, Outgoing, Process,
    ProcessStart, Recorded, Span, SpanId, SpanKind, SpanValue, Step, StepContext, SystemClock, TraceContext,
    Version, WorkFilter, WorkPlace, WorkQueue,
};
use underlay_derive::{event, value};
use underlay_runtime::{
    Engine, EngineConfig, ExecuteError, Ports, RebuildFrom, Request, SubmitOptions, Traces, WorkPorts,
};

use crate::bank::{Account, AccountCommand, AccountEvent, registry, repeatable, request, stream, tenant};
use crate::views::LONG;

/// What a caller sends who records its own part of the trace.
const CAME: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// What the systems of that trace tell each other.
const STATE: &str = "rojo=00f067aa0ba902b7,t@congo=1";

/// Gives a bonus for a deposit, and has a slip printed.
struct Bonus;

#[value(crate = underlay_core)]
struct Given;

impl Process for Bonus {
    const NAME: &'static str = "bonus";
    const STARTS: ProcessStart = ProcessStart::Beginning;
    type Event = AccountEvent;
    type State = Given;

    fn route(&self, event: &Recorded<AccountEvent>) -> Option<String> {
        let account = event.stream().id();
        (!account.starts_with("bonus")).then(|| account.to_owned())
    }

    fn step(&self, _: Option<&Given>, input: &Input<AccountEvent>, context: &StepContext) -> Step<Given> {
        let account = &context.instance;
        match input {
            Input::Event(_) => Step::to(Given)
                .command("pay", Outgoing::command::<Account>(&format!("bonus-{account}"), &deposit(1)))
                .send(Outgoing::message::<Printer>(account, &Slip::Slip { account: account.clone() })),
            _ => Step::stay().finish(),
        }
    }
}

#[event(crate = underlay_core)]
enum Slip {
    #[event(name = "slip", version = 1)]
    Slip { account: String },
}

/// Notes what the printer would pass on to a service it calls.
#[derive(Clone, Default)]
struct Printer(Arc<Mutex<Vec<Metadata>>>);

impl Handler for Printer {
    const NAME: &'static str = "printer";
    type Message = Slip;

    async fn handle(&self, _: Slip, delivery: &Delivery) -> Result<Handled, HandlerError> {
        self.0.lock().unwrap().push(delivery.metadata.clone());
        Ok(Handled::done())
    }
}

fn deposit(cents: i64) -> AccountCommand {
    AccountCommand::Deposit { cents }
}

/// Stores, whoever works with them, and the spans that all of them record.
struct Branch {
    store: MemoryEventStore,
    ports: Ports,
    spans: MemorySpans,
    printer: Printer,
}

impl Branch {
    fn new() -> Self {
        let store = MemoryEventStore::default();
        let work = WorkPorts {
            queue: Arc::new(store.clone()),
            schedules: Arc::new(MemorySchedules::default()),
            checkpoints: Arc::new(MemoryCheckpoints::default()),
            leases: None,
            scheduler: None,
        };
        let ports = Ports {
            work: Some(work),
            store: Arc::new(store.clone()),
            read_models: Arc::new(MemoryReadModels::default()),
            wakeups: Arc::new(store.clone()),
            snapshots: None,
            leases: None,
            clock: Arc::new(SystemClock),
        };
        Self { store, ports, spans: MemorySpans::new(10_000), printer: Printer::default() }
    }

    fn engine_with(&self, traces: Traces) -> Engine {
        let registry = registry().process(Bonus).handler(self.printer.clone());
        Engine::new(self.ports.clone(), registry, EngineConfig { traces, ..EngineConfig::default() }).unwrap()
    }

    /// A process that records all traces.
    fn engine(&self) -> Engine {
        self.engine_with(Traces::recorded_by(Arc::new(self.spans.clone())))
    }

    /// Does all that waits, and all that follows from it.
    async fn work_off(&self, engine: &Engine) {
        let (views, work) = (engine.start_views(), engine.start_work());
        let finished = async {
            loop {
                let listed =
                    self.store.list_work(&WorkFilter::default(), WorkPlace::START, 10).await.unwrap();
                let bonus = self.store.read_stream_whole(&tenant(), &stream("bonus-a"), Version::NONE).await;
                let instance = engine.process(&tenant(), Bonus::NAME, "a").await;
                let is_over = instance.is_ok_and(|instance| instance.is_finished);
                if listed.work.is_empty() && !bonus.unwrap().is_empty() && is_over {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, finished).await.expect("it comes to its end");
        let head = self.store.head().await.unwrap();
        engine.wait_for_view("balances", head, LONG).await.unwrap();
        work.stop().await;
        views.stop().await;
    }

    async fn metadata(&self, account: &str) -> Vec<Metadata> {
        let events = self.store.read_stream_whole(&tenant(), &stream(account), Version::NONE).await.unwrap();
        events.iter().map(|event| event.metadata.decode().unwrap()).collect()
    }

    /// The one span of a name.
    fn span(&self, name: &str) -> Span {
        let mut found: Vec<Span> =
            self.spans.recorded().into_iter().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 1, "{name}: {:#?}", self.spans.recorded());
        found.remove(0)
    }
}

fn traced(traceparent: &str) -> Request {
    Request { traceparent: Some(traceparent.to_owned()), tracestate: Some(STATE.to_owned()), ..request() }
}

fn context(text: &Option<String>) -> TraceContext {
    TraceContext::parse(text.as_deref().expect("there is a context")).expect("it is well formed")
}

/// The names from a span up to the first one of its trace that was recorded here.
fn way_up(spans: &[Span], from: &Span) -> Vec<String> {
    let by_id: HashMap<SpanId, &Span> = spans.iter().map(|span| (span.context.span_id, span)).collect();
    let mut way = vec![from.name.clone()];
    let mut at = from;
    while let Some(parent) = at.parent.and_then(|parent| by_id.get(&parent)) {
        way.push(parent.name.clone());
        at = parent;
    }
    way
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_leads_from_a_request_to_all_that_follows_also_across_a_restart() {
    let branch = Branch::new();
    let account = "a".to_owned();
    let first = branch.engine();
    first.execute::<Account>(&traced(CAME), &account, deposit(5)).await.unwrap();
    // Nothing is worked on before this process is gone.
    drop(first);
    branch.work_off(&branch.engine()).await;

    // The view of the instances is the engine's own, and nobody waits for it here.
    let spans: Vec<Span> =
        branch.spans.recorded().into_iter().filter(|span| !span.name.contains("underlay_")).collect();
    let came = TraceContext::parse(CAME).unwrap();
    assert!(spans.iter().all(|span| span.context.trace_id == came.trace_id), "{spans:#?}");
    assert!(spans.iter().all(|span| span.failure.is_none() && span.ended >= span.begun), "{spans:#?}");
    let command = spans.iter().find(|span| span.parent == Some(came.span_id)).unwrap();
    assert_eq!((command.name.as_str(), command.kind), ("account deposit", SpanKind::Internal));
    assert_eq!(command.attribute("underlay.stream"), Some(&SpanValue::from("account-a")));
    assert_eq!(command.attribute("underlay.outcome"), Some(&SpanValue::from("accepted")));

    let down = ["input bonus event", "account deposit"];
    let mut ways: Vec<Vec<String>> = spans.iter().map(|span| way_up(&spans, span)).collect();
    ways.sort();
    let way = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let below = |names: &[&str]| way(&[names, &down].concat());
    let ran = ["account deposit", "command account deposit"];
    let mut expected = vec![
        way(&["account deposit"]),
        way(&["load", "account deposit"]),
        way(&["decide", "account deposit"]),
        way(&["commit", "account deposit"]),
        way(&["fold balances", "account deposit"]),
        below(&[]),
        below(&["message printer slip"]),
        below(&["command account deposit"]),
        below(&ran),
        below(&[&["load"][..], &ran].concat()),
        below(&[&["decide"][..], &ran].concat()),
        below(&[&["commit"][..], &ran].concat()),
        below(&[&["fold balances"][..], &ran].concat()),
        below(&["input bonus pay", "command account deposit"]),
    ];
    expected.sort();
    assert_eq!(ways, expected);

    // What is stored is the context of whoever stored it, and what came beside it goes on as it came.
    let stored = branch.metadata("a").await;
    let printed = branch.printer.0.lock().unwrap().clone();
    for metadata in stored.iter().chain(&branch.metadata("bonus-a").await).chain(&printed) {
        assert_eq!(metadata.tracestate.as_deref(), Some(STATE), "{metadata:?}");
    }
    assert_eq!(context(&stored[0].traceparent), command.context);
    let message = branch.span("message printer slip");
    assert_eq!(message.kind, SpanKind::Consumer);
    assert_eq!(
        context(&branch.printer.0.lock().unwrap()[0].traceparent),
        message.context,
        "a handler passes its own on"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_records_a_context_goes_on_as_it_came() {
    let branch = Branch::new();
    let engine = branch.engine_with(Traces::default());
    let account = "a".to_owned();
    engine.execute::<Account>(&traced(CAME), &account, deposit(5)).await.unwrap();
    branch.work_off(&engine).await;
    for account in ["a", "bonus-a"] {
        let metadata = branch.metadata(account).await.remove(0);
        let came = (metadata.traceparent.as_deref(), metadata.tracestate.as_deref());
        assert_eq!(came, (Some(CAME), Some(STATE)), "{account}");
    }
    let printed = branch.printer.0.lock().unwrap().clone();
    assert_eq!(printed.len(), 1);
    assert_eq!(printed[0].traceparent.as_deref(), Some(CAME));
    assert_eq!(printed[0].tracestate.as_deref(), Some(STATE));
    // Where none came, none is drawn.
    engine.execute::<Account>(&request(), &"b".to_owned(), deposit(1)).await.unwrap();
    assert_eq!(branch.metadata("b").await[0].traceparent, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_that_its_caller_does_not_record_is_not_recorded_here() {
    let branch = Branch::new();
    let engine = branch.engine();
    let unsampled = CAME.replace("-01", "-00");
    engine.execute::<Account>(&traced(&unsampled), &"a".to_owned(), deposit(5)).await.unwrap();
    branch.work_off(&engine).await;
    assert_eq!(branch.metadata("bonus-a").await[0].traceparent.as_deref(), Some(&*unsampled));
    assert!(branch.spans.recorded().is_empty(), "{:#?}", branch.spans.recorded());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_begins_with_a_request_and_is_sampled_as_a_whole() {
    let none = Branch::new();
    let spans: Arc<MemorySpans> = Arc::new(none.spans.clone());
    let engine = none.engine_with(Traces::recorded_by(spans).with_sample_ratio(0.0));
    engine.execute::<Account>(&request(), &"a".to_owned(), deposit(5)).await.unwrap();
    none.work_off(&engine).await;
    let contexts = [none.metadata("a").await, none.metadata("bonus-a").await].concat();
    let contexts: Vec<TraceContext> = contexts.iter().map(|of| context(&of.traceparent)).collect();
    assert!(none.spans.recorded().is_empty(), "{:#?}", none.spans.recorded());
    assert_eq!(contexts[0], contexts[1], "others are told of one trace that is not sampled");
    assert!(!contexts[0].is_sampled());

    let all = Branch::new();
    let engine = all.engine();
    engine.execute::<Account>(&request(), &"a".to_owned(), deposit(5)).await.unwrap();
    all.work_off(&engine).await;
    let spans = all.spans.recorded();
    let roots: Vec<&Span> = spans.iter().filter(|span| span.parent.is_none()).collect();
    assert_eq!(roots.iter().map(|root| root.name.as_str()).collect::<Vec<_>>(), ["account deposit"]);
    assert!(spans.iter().all(|span| span.context.trace_id == roots[0].context.trace_id), "{spans:#?}");
}

#[tokio::test]
async fn a_repeat_is_the_same_command_whatever_its_trace() {
    let branch = Branch::new();
    let account = "a".to_owned();
    let with = |traceparent: Option<&str>| Request {
        traceparent: traceparent.map(str::to_owned),
        ..repeatable("key")
    };
    let other = CAME.replace("0af7", "1bf8");
    let recording = branch.engine();
    let first = recording.execute::<Account>(&with(Some(CAME)), &account, deposit(5)).await.unwrap();
    for engine in [&recording, &branch.engine_with(Traces::default())] {
        for traceparent in [None, Some(CAME), Some(&*other), Some("noise")] {
            let again = engine.execute::<Account>(&with(traceparent), &account, deposit(5)).await.unwrap();
            assert!(again.repeated && again.events.len() == 1, "{traceparent:?}");
            assert_eq!(again.events[0].metadata, first.events[0].metadata, "the first trace stays");
            let (request, now) = (with(traceparent), SubmitOptions::default());
            let submitted = engine.submit::<Account>(&request, &account, &deposit(5), now).await.unwrap();
            assert!(submitted.repeated, "{traceparent:?}");
        }
    }
    assert_eq!(branch.metadata("a").await.len(), 1);
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_a_failure_is_none() {
    let branch = Branch::new();
    let engine = branch.engine();
    let account = "a".to_owned();
    let refused =
        engine.execute::<Account>(&request(), &account, AccountCommand::Withdraw { cents: 5 }).await;
    assert!(matches!(refused, Err(ExecuteError::Refused(_))));
    let failed = engine.execute::<Account>(&request(), &account, AccountCommand::Panic).await;
    assert!(matches!(failed, Err(ExecuteError::Failed(_))));
    let refused = branch.span("account withdraw");
    assert_eq!(refused.failure, None);
    assert_eq!(refused.attribute("underlay.refusal"), Some(&SpanValue::from("overdrawn")));
    let failed = branch.span("account panic");
    assert!(failed.failure.as_ref().is_some_and(|why| why.contains("panicked")), "{failed:?}");
}

#[tokio::test]
async fn a_command_that_is_given_up_leaves_its_span() {
    let branch = Branch::new();
    let engine = branch.engine();
    let span = engine.tracer().begin(SpanKind::Server, Some(CAME), || "POST /".to_owned());
    let given_up = tokio::time::timeout(Duration::ZERO, async {
        let _span = span;
        std::future::pending::<()>().await;
    });
    given_up.await.unwrap_err();
    assert!(branch.span("POST /").failure.is_some_and(|why| why.contains("given up")));
}

#[tokio::test]
async fn a_rebuild_tells_nothing_in_the_traces_of_what_it_folds() {
    let branch = Branch::new();
    let engine = branch.engine();
    engine.execute::<Account>(&request(), &"a".to_owned(), deposit(5)).await.unwrap();
    let before = branch.spans.recorded().len();
    engine.rebuild_view("balances", RebuildFrom::Start, |_| {}).await.unwrap();
    assert_eq!(branch.spans.recorded().len(), before);
}
