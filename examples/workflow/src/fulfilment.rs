use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use temporalio_macros::{activities, workflow, workflow_methods};
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use temporalio_sdk::{
    ActivityOptions, ApplicationFailure, SyncWorkflowContext, WorkflowContext, WorkflowResult, workflows,
};
use underlay::{Engine, ExecuteError, HandlerError, RecordedEvent, Request, TenantId};
use underlay_temporal::{Temporal, WorkflowSignal, WorkflowSink, command_id};

use crate::order::{Order, OrderCommand};

/// Where the worker asks for tasks.
pub const TASK_QUEUE: &str = "fulfilment";
/// How long an order waits for its payment.
const PAID_WITHIN: Duration = Duration::from_secs(30 * 86_400);

// region: sink
/// Brings the events of orders to their workflows: `placed` starts one, and `paid` tells it that the money is there.
pub fn sink(temporal: &Temporal) -> Result<impl underlay::Sink + use<>, underlay::Error> {
    WorkflowSink::new(temporal, "fulfilment", |event: &RecordedEvent| {
        let signal = match event.event_type.as_str() {
            "placed" => "placed",
            "paid" => "paid",
            _ => return Ok(None),
        };
        let order = OrderId { tenant: event.tenant.clone(), order: event.stream.id().to_owned() };
        let workflow_id = format!("fulfilment/{}/{}", order.tenant, order.order);
        let signal = WorkflowSignal::new("fulfilment", workflow_id, TASK_QUEUE, signal, &())
            .and_then(|signal| signal.with_start_input(&order));
        signal.map(Some).map_err(HandlerError::last)
    })
}
// endregion: sink

/// Which order it is: no more than its names. What it is about stays in the store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrderId {
    tenant: TenantId,
    order: String,
}

// region: workflow
/// Sends an order once it is paid.
#[workflow]
#[derive(Default)]
pub struct Fulfilment {
    is_paid: bool,
}

#[workflow_methods]
impl Fulfilment {
    /// Ends with whether a parcel was sent.
    #[run(name = "fulfilment")]
    pub async fn run(ctx: &mut WorkflowContext<Self>, order: OrderId) -> WorkflowResult<bool> {
        let is_paid = workflows::select! {
            paid = ctx.wait_condition(|order| order.is_paid) => { paid?; true }
            _ = ctx.timer(PAID_WITHIN) => false
        };
        if is_paid {
            let options = ActivityOptions::start_to_close_timeout(Duration::from_secs(60));
            ctx.execute_activity(Parcels::send, order, options).await?;
        }
        Ok(is_paid)
    }

    /// The signal that starts it.
    #[signal(name = "placed")]
    pub fn placed(&mut self, _: &mut SyncWorkflowContext<Self>, (): ()) {}

    /// The signal it waits for.
    #[signal(name = "paid")]
    pub fn paid(&mut self, _: &mut SyncWorkflowContext<Self>, (): ()) {
        self.is_paid = true;
    }
}
// endregion: workflow

/// Tells the carrier of a parcel, by the number of its order.
pub type Carrier = Arc<dyn Fn(&str) -> io::Result<()> + Send + Sync>;

// region: activity
/// Sends parcels: what the workflow has done outside itself.
pub struct Parcels {
    /// Runs the commands.
    pub engine: Engine,
    /// Takes the parcels.
    pub carrier: Carrier,
}

#[activities]
impl Parcels {
    /// Decides that a parcel leaves, and tells the carrier. Where the carrier does not answer it is made again, and the command, which
    /// has the same id then, is not decided again.
    #[activity(name = "send_parcel")]
    pub async fn send(self: Arc<Self>, ctx: ActivityContext, order: OrderId) -> Result<(), ActivityError> {
        let OrderId { tenant, order } = order;
        let request = Request { command_id: Some(command_id(&ctx, &tenant, 0)?), ..Request::new(tenant) };
        match self.engine.execute::<Order>(&request, &order, OrderCommand::Ship).await {
            Ok(_) => Ok((self.carrier)(&order)?),
            Err(ExecuteError::Refused(refusal)) => Err(ApplicationFailure::non_retryable(refusal).into()),
            Err(error) => Err(error.into()),
        }
    }
}
// endregion: activity
