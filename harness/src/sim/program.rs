//! A program of the simulation: an engine with all that runs in it, on a runtime of its own.
//!
//! ```text
//!          ┌── paused ──► goes on: whatever came due meanwhile comes at once
//!          │
//!  down ─► up ── killed: everything that was in memory is gone ──► down
//!          │
//!          └── told to end ──► ending ── it has given everything back ──► down
//! ```
//!
//! The runtime has no thread. It runs when something of the program has come due, until all of its tasks wait again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use underlay_core::adapter::WakeupHub;
use underlay_core::memory::{MemoryCheckpoints, MemoryLeases, MemorySchedules, MemorySnapshots};
use underlay_core::{Clock, Error, Wakeup, Wakeups, WorkHint, WorkWakeup};
use underlay_runtime::{Engine, EngineConfig, Ports, WorkPorts};
use underlay_testkit::Over;

use super::agenda::{AgendaClock, Sleeper};
use super::bank;
use super::mistakes::{Mistake, Rows, Stores};
use super::network::{Network, Reached, Weather};
use super::outside::Line;
use super::stage::Stage;
use super::world::Happening;
use crate::dice::Dice;

/// What outlives programs.
#[derive(Clone)]
pub(crate) struct House {
    pub(crate) stage: Arc<Stage>,
    pub(crate) stores: Stores,
    pub(crate) leases: MemoryLeases,
    pub(crate) schedules: MemorySchedules,
    pub(crate) checkpoints: MemoryCheckpoints,
    pub(crate) snapshots: MemorySnapshots,
    pub(crate) weather: Weather,
    pub(crate) programs: usize,
}

/// A program.
pub(crate) struct Program {
    number: usize,
    /// Lives it has had.
    pub(crate) lives: u64,
    life: Option<Life>,
}

/// One life of a program.
struct Life {
    runtime: Runtime,
    engine: Engine,
    network: Network,
    hints: Arc<Hints>,
    rest: Arc<Rest>,
    stop: Arc<Notify>,
    is_ending: bool,
    /// Counts its pauses, and is set while it is paused.
    paused: Option<u64>,
    pauses: u64,
    /// What came due while it was paused.
    held: Vec<Arc<Sleeper>>,
}

/// Says when all tasks of a runtime wait.
#[derive(Default)]
struct Rest {
    is_resting: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Rest {
    fn begin(&self) {
        self.is_resting.store(true, Ordering::SeqCst);
        if let Some(waker) = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    async fn come(&self) {
        self.is_resting.store(false, Ordering::SeqCst);
        std::future::poll_fn(|context| match self.is_resting.load(Ordering::SeqCst) {
            true => Poll::Ready(()),
            false => {
                *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await;
    }
}

/// Hints for one life of a program. Each who subscribes has a hub: those who wait at one are woken in an order that is
/// drawn.
#[derive(Default)]
struct Hints(Mutex<Vec<WakeupHub>>);

impl Hints {
    fn wake(&self, hint: WorkHint) {
        for hub in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            hub.wake();
            hub.wake_for_work(hint);
        }
    }

    fn hub<W>(&self, subscribe: impl Fn(&WakeupHub) -> W) -> W {
        let hub = WakeupHub::default();
        let wakeup = subscribe(&hub);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(hub);
        wakeup
    }
}

impl Wakeups for Hints {
    fn subscribe(&self) -> Wakeup {
        self.hub(WakeupHub::subscribe)
    }

    fn subscribe_work(&self) -> WorkWakeup {
        self.hub(WakeupHub::subscribe_work)
    }
}

impl Program {
    pub(crate) fn new(number: usize) -> Self {
        Self { number, lives: 0, life: None }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.life.is_some()
    }

    /// Starts it.
    pub(crate) fn start(&mut self, house: &House, dice: &mut Dice) -> Result<(), Error> {
        self.lives += 1;
        let rest = Arc::<Rest>::default();
        let parked = rest.clone();
        let runtime = Builder::new_current_thread()
            .on_thread_park(move || parked.begin())
            .build()
            .map_err(|error| Error::backend("starting a program", error))?;
        let ahead = i64::try_from(dice.below(400_000)).unwrap_or(0) - 200_000;
        let agenda = house.stage.agenda.clone();
        let clock: Arc<dyn Clock> = Arc::new(AgendaClock { agenda, program: self.number, ahead });
        let network = Network::new(
            house.stage.clone(),
            clock.clone(),
            house.weather,
            (self.number, house.programs),
            dice.fork(),
        );
        let hints = Arc::<Hints>::default();
        let line = Arc::new(Line(network.clone()));
        let engine =
            Engine::new(ports(house, &network, &hints, clock), bank::registry(&line), self.config(house))?;
        let stop = Arc::<Notify>::default();
        runtime.spawn(run(engine.clone(), stop.clone(), house.stage.clone(), self.number, self.lives));
        self.life = Some(Life {
            runtime,
            engine,
            network,
            hints,
            rest,
            stop,
            is_ending: false,
            paused: None,
            pauses: 0,
            held: Vec::new(),
        });
        self.drive();
        Ok(())
    }

    fn config(&self, house: &House) -> EngineConfig {
        let mut config = EngineConfig {
            process: format!("p{}", self.number),
            work_drain: Duration::from_secs(3),
            ..EngineConfig::default()
        };
        if house.stage.mistake == Some(Mistake::WakeUpsOnly) {
            config.work_poll_interval = Duration::from_secs(1_000_000);
        }
        config
    }

    /// Lets its tasks run until all of them wait.
    fn drive(&mut self) {
        if let Some(life) = self.life.as_ref().filter(|life| life.paused.is_none()) {
            life.runtime.block_on(life.rest.come());
        }
    }

    /// Something that slept has come due; `more` gives what has come due at the same moment.
    pub(crate) fn wake(&mut self, sleeper: Arc<Sleeper>, more: impl Fn() -> Option<Arc<Sleeper>>) {
        let Some(life) = &mut self.life else { return };
        if life.paused.is_some() {
            life.held.push(sleeper);
            return;
        }
        sleeper.wake();
        while let Some(sleeper) = more() {
            sleeper.wake();
        }
        self.drive();
    }

    /// The log may have grown, and there may be work where the hint says.
    pub(crate) fn hint(&mut self, hint: WorkHint) {
        if let Some(life) = &self.life {
            life.hints.wake(hint);
            self.drive();
        }
    }

    /// Runs something in it; false where it is down.
    pub(crate) fn call<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        call: impl FnOnce(Engine) -> F,
    ) -> bool {
        let Some(life) = &self.life else { return false };
        life.runtime.spawn(call(life.engine.clone()));
        self.drive();
        true
    }

    /// Ends it with everything it has in memory; whether it was up.
    pub(crate) fn kill(&mut self) -> bool {
        self.life.take().is_some()
    }

    /// Lets nothing of it reach the stores for a time.
    pub(crate) fn cut(&self, duration: Duration) -> bool {
        self.life.as_ref().map(|life| life.network.cut(duration)).is_some()
    }

    /// Stops it where it is. The number of the pause; none where it is down or stopped already.
    pub(crate) fn pause(&mut self) -> Option<u64> {
        let life = self.life.as_mut().filter(|life| life.paused.is_none())?;
        life.pauses += 1;
        life.paused = Some(life.pauses);
        life.paused
    }

    /// Lets it go on after a pause.
    pub(crate) fn go_on(&mut self, lives: u64, pause: u64) -> bool {
        let is_of_now = self.lives == lives;
        let Some(life) = self.life.as_mut().filter(|life| is_of_now && life.paused == Some(pause)) else {
            return false;
        };
        life.paused = None;
        for sleeper in std::mem::take(&mut life.held) {
            sleeper.wake();
        }
        self.drive();
        true
    }

    /// Tells it to end; false where it is down, or told so already.
    pub(crate) fn stop(&mut self) -> bool {
        let Some(life) = self.life.as_mut().filter(|life| !life.is_ending) else { return false };
        life.is_ending = true;
        life.stop.notify_one();
        self.drive();
        true
    }
}

/// What a program does from its start to its end.
async fn run(engine: Engine, stop: Arc<Notify>, stage: Arc<Stage>, number: usize, lives: u64) {
    let (views, work, pumps) = (engine.start_views(), engine.start_work(), engine.start_pumps());
    stop.notified().await;
    work.stop().await;
    pumps.stop().await;
    views.stop().await;
    stage.agenda.after(Duration::ZERO, Happening::Ended(number, lives));
}

fn ports(house: &House, network: &Network, hints: &Arc<Hints>, clock: Arc<dyn Clock>) -> Ports {
    let network = || network.clone();
    let leases = Arc::new(Reached { network: network(), store: house.leases.clone() });
    Ports {
        store: Arc::new(Over(Reached { network: network(), store: house.stores.clone() })),
        read_models: Arc::new(Over(Reached { network: network(), store: Rows(house.stores.clone()) })),
        wakeups: hints.clone(),
        snapshots: Some(Arc::new(house.snapshots.clone())),
        leases: Some(leases.clone()),
        work: Some(WorkPorts {
            queue: Arc::new(Over(Reached { network: network(), store: Over(house.stores.clone()) })),
            schedules: Arc::new(Over(Reached { network: network(), store: house.schedules.clone() })),
            checkpoints: Arc::new(Over(Reached { network: network(), store: house.checkpoints.clone() })),
            leases: Some(leases),
            scheduler: None,
        }),
        clock,
    }
}
