use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::FusedFuture;
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    CancellableFuture as _, ContinueAsNewOptions, SyncWorkflowContext, TimerResult, WorkflowContext,
    WorkflowContextView, WorkflowResult, workflows,
};
use underlay_core::ports::{Job, JobEnd};

use super::state::{LineState, Next};
use crate::job::{AttemptInput, activity, local_activity};
use crate::router::Way;
use crate::worker::Attempts;

/// What a run of a line begins with. Histories keep it, so fields are added only with a default.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LineInput {
    /// Whether attempts are local activities.
    pub is_local: bool,
    /// Events in the history of a run, after which the line continues as new.
    pub events_max: u32,
    /// How long it waits for somebody to ask until it ends.
    pub idle: Duration,
    /// What waits, and how the latest jobs ended.
    #[serde(default)]
    pub(super) state: LineState,
}

impl LineInput {
    pub(super) fn new(way: &Way) -> Self {
        let Way { is_local, line_events_max: events_max, line_idle: idle, .. } = *way;
        Self { is_local, events_max, idle, state: LineState::default() }
    }
}

/// An attempt that somebody wants.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub job: Job,
    pub number: u32,
}

/// A job that is to wait.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Later {
    pub job: Job,
    pub delay: Duration,
}

/// What who asked is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(crate) enum Answer {
    /// What the attempt came to.
    Ended { end: JobEnd },
    /// The next run of the line tells it.
    AskAgain,
}

/// The jobs of a tenant, a receiver and a key, one at a time.
#[workflow]
pub(crate) struct Line {
    input: LineInput,
    /// Whether the run is about to end: who waits is told to ask again.
    is_ending: bool,
}

#[workflow_methods]
impl Line {
    #[init]
    fn new(_ctx: &WorkflowContextView, input: LineInput) -> Self {
        Self { input, is_ending: false }
    }

    #[run(name = "underlay.line")]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        let events_max = ctx.state(|line| line.input.events_max);
        let mut idle = Idle::default();
        loop {
            if ctx.history_length() >= events_max || ctx.continue_as_new_suggested() {
                return continue_as_new(ctx).await;
            }
            let now = now(ctx);
            match ctx.state_mut(|line| line.input.state.next(now)) {
                Next::Attempt { input, is_anothers } => make(ctx, input, is_anothers).await?,
                Next::Pause(pause, moment) => pass(ctx, pause, moment).await?,
                Next::Idle => {
                    if idle.is_over(ctx).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Has a job wait for its time.
    #[signal(name = "later")]
    pub(crate) fn later(&mut self, ctx: &mut SyncWorkflowContext<Self>, later: Later) {
        let delay = u64::try_from(later.delay.as_millis()).unwrap_or(u64::MAX);
        self.input.state.later(later.job, millis(ctx.workflow_time()).saturating_add(delay));
    }

    /// Has an attempt made, and waits for what it comes to.
    #[update(name = "attempt")]
    pub(crate) async fn attempt(ctx: &mut WorkflowContext<Self>, asked: Asked) -> Answer {
        let id = asked.job.id();
        let number = ctx.state_mut(|line| line.input.state.ask(asked.job, asked.number));
        // Who is cancelled asks again too: the next run begins anew.
        let waited = ctx.wait_condition(|line| line.is_ending || line.input.state.end(&id, number).is_some());
        drop(waited.await);
        match ctx.state(|line| line.input.state.end(&id, number).cloned()) {
            Some(end) => Answer::Ended { end },
            None => Answer::AskAgain,
        }
    }
}

/// Makes an attempt. A local activity is made where the workflow is kept, so what is another's is made as an activity.
async fn make(ctx: &WorkflowContext<Line>, attempt: AttemptInput, is_anothers: bool) -> WorkflowResult<()> {
    let end = if ctx.state(|line| line.input.is_local) && !is_anothers {
        ctx.execute_local_activity(Attempts::attempt, attempt.clone(), local_activity()).await?
    } else {
        ctx.execute_activity(Attempts::attempt, attempt.clone(), activity()).await?
    };
    let now = now(ctx);
    ctx.state_mut(|line| line.input.state.ended(&attempt, end, now));
    Ok(())
}

/// Waits for a time that ends at a moment, or until something is to be done before.
async fn pass(ctx: &WorkflowContext<Line>, pause: Duration, moment: u64) -> WorkflowResult<()> {
    let mut timer = Box::pin(ctx.timer(pause));
    let is_earlier = workflows::select! {
        earlier = ctx.wait_condition(|line| line.input.state.is_due_before(moment)) => { earlier?; true }
        _ = timer.as_mut() => false
    };
    if is_earlier {
        timer.cancel();
    }
    Ok(())
}

/// Goes on in a new run, once everybody has an answer.
async fn continue_as_new(ctx: &WorkflowContext<Line>) -> WorkflowResult<()> {
    ctx.state_mut(|line| line.is_ending = true);
    let handlers = ctx.clone();
    ctx.wait_condition(move |_| handlers.all_handlers_finished()).await?;
    let input = ctx.state(|line| line.input.clone());
    match ctx.continue_as_new(input, ContinueAsNewOptions::default())? {}
}

/// The time of the line, in milliseconds.
fn now(ctx: &WorkflowContext<Line>) -> u64 {
    millis(ctx.workflow_time())
}

fn millis(time: Option<SystemTime>) -> u64 {
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// How long the line has had nothing to do. One timer runs through many jobs, so that a job adds none to the history.
#[derive(Default)]
struct Idle<'a> {
    timer: Option<Pin<Box<dyn FusedFuture<Output = TimerResult> + 'a>>>,
    /// Whether somebody has asked since the timer was set.
    was_asked: bool,
}

impl<'a> Idle<'a> {
    /// Waits until somebody asks. True where nobody has for long.
    async fn is_over(&mut self, ctx: &'a WorkflowContext<Line>) -> WorkflowResult<bool> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(ctx.timer(ctx.state(|line| line.input.idle))));
        workflows::select! {
            asked = ctx.wait_condition(|line| !line.input.state.is_idle()) => {
                asked?;
                self.was_asked = true;
                return Ok(false);
            }
            _ = timer.as_mut() => {}
        }
        self.timer = None;
        let was_asked = std::mem::take(&mut self.was_asked);
        Ok(!was_asked && ctx.all_handlers_finished())
    }
}
