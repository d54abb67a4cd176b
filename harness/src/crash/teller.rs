//! The child that is killed: an engine with a running view, and tellers that send it errands, write
//! down what they send before they send it, and what they were told after.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use underlay_core::{Error, Position, Row, Value};
use underlay_runtime::{Engine, EngineConfig};

use super::bank;
use super::errand::{Answer, Errand};
use crate::balances::Balance;
use crate::dice::Dice;
use crate::journal::Journal;
use crate::subject::{Address, RowsAddress};
use crate::{Result, child, journal};

/// Tellers beside each other.
const TELLERS: usize = 6;
/// Errands of the past that are sent before anything else; those without an answer come first.
const SENT_FIRST: usize = 4;
/// The longest pause after each of them.
const FIRST_PAUSE_MAX: Duration = Duration::from_millis(10);
/// The pause after an answer that is none.
const OPEN_PAUSE: Duration = Duration::from_millis(5);
/// The term of the view's lease: a killed process leaves it behind, and the next waits for its end.
const VIEW_LEASE: Duration = Duration::from_millis(40);
/// How long a teller waits for the view: longer than a crashed server takes to recover.
const VIEW_TIMEOUT: Duration = Duration::from_secs(60);

/// The process that is killed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[arg(long)]
    database: Address,
    /// Where the rows of the view are, where they are not in the database.
    #[arg(long)]
    rows: Option<RowsAddress>,
    /// Errands of earlier processes, to be sent again.
    #[arg(long)]
    past: PathBuf,
    #[arg(long)]
    journal: PathBuf,
    #[arg(long)]
    seed: u64,
}

/// A line of a teller's journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum TellerLine {
    /// Written before it is sent.
    Sent(Errand),
    /// Written after the answer.
    Answered(Errand, Answer),
    /// What a teller found to be wrong.
    Wrong(String),
}

struct Teller {
    engine: Engine,
    journal: Arc<Journal>,
    dice: Dice,
    past: Arc<Vec<Errand>>,
    /// What all tellers of this process got an answer to.
    answered: Arc<Mutex<Vec<Errand>>>,
}

/// Runs until it is killed, or its parent is gone.
pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let open = arguments.database.open_with_rows(arguments.rows.as_ref()).await?;
    let config = EngineConfig { view_lease: VIEW_LEASE, ..EngineConfig::default() };
    let engine = Engine::new(open.ports(), bank::registry(), config)?;
    let views = engine.start_views();
    let mut tellers = start(&engine, &arguments).await?;
    child::say_ready()?;
    tokio::select! {
        () = child::told_to_finish() => {}
        Some(ended) = tellers.join_next() => ended??,
    }
    tellers.shutdown().await;
    views.stop().await;
    open.close().await
}

async fn start(engine: &Engine, arguments: &Arguments) -> Result<JoinSet<Result<()>>> {
    let journal = Arc::new(Journal::open(&arguments.journal)?);
    let past: Arc<Vec<Errand>> = Arc::new(journal::read(&arguments.past)?);
    let answered = Arc::default();
    let mut dice = Dice::new(arguments.seed);
    let mut teller = || Teller {
        engine: engine.clone(),
        journal: journal.clone(),
        dice: dice.fork(),
        past: past.clone(),
        answered: Arc::clone(&answered),
    };
    // First what the last process left open, while nothing else is written: an answer must not rest on
    // what that process wrote and had not flushed.
    let mut first = teller();
    for errand in past.iter().take(SENT_FIRST) {
        first.send(errand).await?;
        tokio::time::sleep(first.dice.time_below(FIRST_PAUSE_MAX)).await;
    }
    let mut tellers = JoinSet::new();
    for _ in 0..TELLERS {
        tellers.spawn(teller().serve());
    }
    Ok(tellers)
}

impl Teller {
    async fn serve(mut self) -> Result<()> {
        loop {
            match self.dice.below(100) {
                0..70 => self.serve_new().await?,
                70..90 => self.serve_again().await?,
                90..95 => self.use_an_id_again().await?,
                _ => self.read_what_was_written().await?,
            }
        }
    }

    async fn serve_new(&mut self) -> Result<()> {
        let errand = Errand::new(&mut self.dice)?;
        if self.dice.chance(10) {
            // The same id twice at the same time.
            let (first, second) = tokio::join!(self.send(&errand), self.send(&errand));
            first.and(second).map(|_| ())
        } else {
            self.send(&errand).await.map(|_| ())
        }
    }

    async fn serve_again(&mut self) -> Result<()> {
        let earlier =
            if self.dice.chance(50) { self.dice.pick(&self.past).cloned() } else { self.pick_answered() };
        match earlier {
            Some(errand) => self.send(&errand).await.map(|_| ()),
            None => Ok(()),
        }
    }

    async fn use_an_id_again(&mut self) -> Result<()> {
        let Some(errand) = self.pick_answered() else { return Ok(()) };
        if !errand.changed().is_taken(&self.engine).await {
            return Ok(());
        }
        self.journal.write(&TellerLine::Wrong(format!("the id of {errand:?} was taken for something else")))
    }

    /// A query that waits for a command's position shows its effect.
    async fn read_what_was_written(&mut self) -> Result<()> {
        let errand = Errand::new(&mut self.dice)?;
        let Answer::Done { position, versions } = self.send(&errand).await? else { return Ok(()) };
        let position = Position::from_number(position);
        if let Err(error) = self.wait_for_the_view(position).await {
            return self.journal.write(&TellerLine::Wrong(format!("waiting for the view: {error}")));
        }
        for written in versions {
            let row = self.engine.row(&errand.tenant, "balances", written.stream.id()).await;
            if let Err(Error::Unavailable { .. }) = row {
                return Ok(());
            }
            let shown = row.as_ref().ok().and_then(|row| version_shown(row.values.clone()));
            if shown.is_none_or(|shown| shown < written.version.0) {
                let text = format!("the view is at {position} and shows {row:?} after {written:?}");
                self.journal.write(&TellerLine::Wrong(text))?;
            }
        }
        Ok(())
    }

    /// Waits for the view, which may take its time: that the store is away for a moment is no answer, that the
    /// view has stopped is one.
    async fn wait_for_the_view(&self, position: Position) -> std::result::Result<(), Error> {
        let began = Instant::now();
        loop {
            let rest = VIEW_TIMEOUT.saturating_sub(began.elapsed());
            match self.engine.wait_for_view("balances", position, rest).await {
                Err(Error::Unavailable { .. })
                    if began.elapsed() < VIEW_TIMEOUT && !self.has_a_stopped_view() =>
                {
                    tokio::time::sleep(OPEN_PAUSE).await;
                }
                waited => return waited,
            }
        }
    }

    fn has_a_stopped_view(&self) -> bool {
        self.engine.view_states().iter().any(|view| view.status.is_stopped())
    }

    async fn send(&self, errand: &Errand) -> Result<Answer> {
        self.journal.write(&TellerLine::Sent(errand.clone()))?;
        let answer = errand.run(&self.engine).await;
        self.journal.write(&TellerLine::Answered(errand.clone(), answer.clone()))?;
        if answer.is_final() {
            self.answered.lock().unwrap_or_else(PoisonError::into_inner).push(errand.clone());
        } else {
            // A store that is away is not asked as fast as it says so.
            tokio::time::sleep(OPEN_PAUSE).await;
        }
        Ok(answer)
    }

    fn pick_answered(&mut self) -> Option<Errand> {
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        self.dice.pick(&answered).cloned()
    }
}

fn version_shown(values: Vec<Value>) -> Option<u64> {
    Balance::from_values(values).ok().and_then(|row| u64::try_from(row.events).ok())
}
