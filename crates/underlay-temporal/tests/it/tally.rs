//! A workflow of a test's own: it takes down what it is signalled.

use temporalio_client::{Client, WorkflowSignalOptions};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ContinueAsNewOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult,
};

#[workflow]
pub(crate) struct Tally {
    taken: Vec<u64>,
    continues: bool,
    ends: bool,
}

#[workflow_methods]
impl Tally {
    #[init]
    fn new(_: &WorkflowContextView, taken: Vec<u64>) -> Self {
        Self { taken, continues: false, ends: false }
    }

    #[run(name = "tally")]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Vec<u64>> {
        ctx.wait_condition(|tally| tally.continues || tally.ends).await?;
        if ctx.state(|tally| tally.continues) {
            let taken = ctx.state(|tally| tally.taken.clone());
            ctx.continue_as_new(taken, ContinueAsNewOptions::default())?;
        }
        Ok(ctx.state(|tally| tally.taken.clone()))
    }

    #[signal(name = "take")]
    pub(crate) fn take(&mut self, _: &mut SyncWorkflowContext<Self>, number: u64) {
        self.taken.push(number);
    }

    #[signal(name = "continue")]
    pub(crate) fn carry_on(&mut self, _: &mut SyncWorkflowContext<Self>, (): ()) {
        self.continues = true;
    }

    #[signal(name = "end")]
    pub(crate) fn end(&mut self, _: &mut SyncWorkflowContext<Self>, (): ()) {
        self.ends = true;
    }

    #[query(name = "taken")]
    pub(crate) fn taken(&self, _: &WorkflowContextView) -> Vec<u64> {
        self.taken.clone()
    }
}

/// What a tally has taken down.
pub(crate) async fn taken(client: &Client, id: &str) -> Vec<u64> {
    client.get_workflow_handle::<Tally>(id).query(Tally::taken, (), Default::default()).await.unwrap()
}

/// Lets a tally continue as new, and waits until it has.
pub(crate) async fn carry_on(client: &Client, id: &str) {
    let before = run_id(client, id).await;
    let handle = client.get_workflow_handle::<Tally>(id);
    handle.signal(Tally::carry_on, (), WorkflowSignalOptions::default()).await.unwrap();
    while run_id(client, id).await == before {
        tokio::task::yield_now().await;
    }
}

/// Ends a tally, and says what it took down.
pub(crate) async fn end(client: &Client, id: &str) -> Vec<u64> {
    let handle = client.get_workflow_handle::<Tally>(id);
    handle.signal(Tally::end, (), WorkflowSignalOptions::default()).await.unwrap();
    handle.get_result(Default::default()).await.unwrap()
}

/// The run that is the last of a tally.
pub(crate) async fn run_id(client: &Client, id: &str) -> String {
    let described = client.get_workflow_handle::<Tally>(id).describe(Default::default()).await.unwrap();
    described.run_id().to_owned()
}
