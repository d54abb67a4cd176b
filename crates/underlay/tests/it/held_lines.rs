//! What a stored command that was given up holds, on every store.

use std::time::Duration;

use underlay::ports::{Settled, Settlement, WorkFilter, WorkQueue, WorkStanding, Worker};
use underlay::words::{Work, WorkPlace};
use underlay::{
    Actor, Aggregate, Cancelled, CommandStatus, CommitId, Context, Decision, Engine, EngineConfig,
    ExecuteError, Executed, Request, Store, SubmitOptions, TenantId,
};
use underlay_runtime::{Ports, Registry};

#[underlay::event]
enum Change {
    #[event(name = "put", version = 1)]
    Put { cents: i64 },
}

#[underlay::command]
enum Order {
    #[command(name = "put")]
    Put { cents: i64 },
}

#[underlay::refusal(code = "never", message = "it is never refused")]
struct Never;

#[derive(Clone, Default)]
struct Jar;

impl Aggregate for Jar {
    const CATEGORY: &'static str = "jar";
    type Id = String;
    type Command = Order;
    type Event = Change;
    type Refusal = Never;
    fn decide(&self, Order::Put { cents }: Order, _: &Context) -> Result<Decision<Change>, Never> {
        Ok(vec![Change::Put { cents }].into())
    }
    fn evolve(&mut self, _: &Change) {}
}

/// A service without a worker: what a worker does with work is done by hand.
struct Desk {
    tenant: TenantId,
    engine: Engine,
    ports: Ports,
}

impl Desk {
    fn of(store: &Store) -> Self {
        let ports = store.ports().unwrap();
        let registry = Registry::default().aggregate::<Jar>();
        let engine = Engine::new(ports.clone(), registry, EngineConfig::default()).unwrap();
        Self { tenant: TenantId::new("main").unwrap(), engine, ports }
    }

    fn keyed(&self, key: &str) -> Request {
        Request::new(self.tenant.clone()).with_key(key)
    }

    fn queue(&self) -> &dyn WorkQueue {
        &*self.ports.work.as_ref().unwrap().queue
    }

    async fn submit(&self, key: &str) {
        let (id, command) = ("1".to_owned(), Order::Put { cents: 1 });
        let options = SubmitOptions::default();
        self.engine.submit::<Jar>(&self.keyed(key), &id, &command, options).await.unwrap();
    }

    async fn execute(&self, key: &str) -> Result<Executed, ExecuteError<Never>> {
        self.engine.execute::<Jar>(&self.keyed(key), &"1".to_owned(), Order::Put { cents: 1 }).await
    }

    async fn status(&self, key: &str) -> CommandStatus {
        let id = CommitId::from_key(&self.tenant, key);
        self.engine.command_status(&self.tenant, id).await.unwrap().unwrap().status
    }

    async fn listed(&self, dead: bool) -> Vec<(Work, WorkStanding)> {
        let filter = WorkFilter { tenant: Some(self.tenant.clone()), dead, ..WorkFilter::default() };
        let listed = self.queue().list_work(&filter, WorkPlace::START, 100).await.unwrap();
        listed.work.into_iter().map(|info| (info.work, info.standing)).collect()
    }

    /// Submits two commands to one aggregate, gives the first up, and lets the other stand behind it.
    async fn hold(&self, dead: &str, behind: &str) {
        self.submit(dead).await;
        self.submit(behind).await;
        let work = self.listed(false).await;
        let letter = Settled::Dead { error: "no".to_owned(), is_final: true, holds: true };
        self.settle([(&work[0].0, letter), (&work[1].0, Settled::Held)]).await;
        assert!(matches!(self.status(dead).await, CommandStatus::Failed { .. }));
        assert_eq!(self.listed(false).await[0].1, WorkStanding::Behind);
    }

    async fn settle<'w>(&self, settled: impl IntoIterator<Item = (&'w Work, Settled)>) {
        let worker = Worker::embedded("test");
        let held = self.queue().share(&worker, Duration::from_secs(60), &[]).await.unwrap().held;
        let term = |work: &Work| held.iter().find(|held| held.term.shard == work.shard).unwrap().term;
        let settled = settled.into_iter();
        let settled: Vec<_> = settled
            .map(|(work, settled)| Settlement { term: term(work), place: work.place, settled })
            .collect();
        assert_eq!(self.queue().settle(&settled).await.unwrap(), []);
        self.queue().leave(&worker).await.unwrap();
    }

    /// The line goes on with what stood behind; that is run too.
    async fn goes_on(&self, behind: &str) {
        assert_eq!(self.listed(true).await, [], "no dead letter is left");
        let work = self.listed(false).await;
        let [(next, WorkStanding::Later)] = &work[..] else { panic!("{work:?}") };
        assert!(next.sent.due_at.is_some(), "it is due");
        self.execute(behind).await.unwrap();
        self.settle([(next, Settled::Done)]).await;
    }
}

/// Whoever decides a command that was given up lets its line go, and so does whoever repeats or cancels it.
pub(crate) async fn a_line_goes_on_once_its_command_has_ended(store: &Store) {
    let desk = Desk::of(store);
    desk.hold("decided", "behind it").await;
    assert!(!desk.execute("decided").await.unwrap().repeated);
    assert!(matches!(desk.status("decided").await, CommandStatus::Processed(_)));
    desk.goes_on("behind it").await;

    // It was decided before it was given up, by somebody who could not let it go.
    desk.submit("late").await;
    desk.submit("behind late").await;
    assert!(!desk.execute("late").await.unwrap().repeated);
    let work = desk.listed(false).await;
    let letter = Settled::Dead { error: "no".to_owned(), is_final: false, holds: true };
    desk.settle([(&work[0].0, letter), (&work[1].0, Settled::Held)]).await;
    assert!(desk.execute("late").await.unwrap().repeated);
    desk.goes_on("behind late").await;

    desk.hold("cancelled", "behind cancelled").await;
    let id = CommitId::from_key(&desk.tenant, "cancelled");
    let cancelled = desk.engine.cancel_command(&desk.tenant, &Actor::default(), id, |_| true).await.unwrap();
    assert!(matches!(cancelled, Cancelled::Cancelled(_)));
    desk.goes_on("behind cancelled").await;

    // What stands for another tenant's command, or was never submitted, takes nothing away.
    desk.hold("kept", "behind kept").await;
    let other = Desk { tenant: TenantId::new("other").unwrap(), ..Desk::of(store) };
    for desk in [&desk, &other] {
        desk.execute("directly").await.unwrap();
        assert!(desk.execute("directly").await.unwrap().repeated);
    }
    assert!(!other.execute("kept").await.unwrap().repeated);
    assert_eq!(desk.listed(true).await.len(), 1);
}

#[tokio::test]
async fn in_memory() {
    a_line_goes_on_once_its_command_has_ended(&Store::open("memory:").await.unwrap()).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("sqlite:{}", folder.path().join("lines.db").display());
    let store = Store::open(&address).await.unwrap();
    a_line_goes_on_once_its_command_has_ended(&store).await;
    store.close().await.unwrap();
}
