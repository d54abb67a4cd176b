//! Ids of the commands that activities run.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use temporalio_client::{RetryPolicy, WorkflowStartOptions};
use temporalio_macros::{activities, workflow, workflow_methods};
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use temporalio_sdk::{ActivityOptions, LocalActivityOptions, WorkerOptions, WorkflowContext, WorkflowResult};
use underlay_core::words::{CommitId, TenantId};
use underlay_temporal::command_id;

use crate::house::{open, server};
use crate::workers::Working;

const ATTEMPTS: u32 = 3;

/// Takes down the ids of every attempt, and lets all but the last fail.
#[derive(Default)]
struct Ids(Arc<Mutex<Vec<Vec<CommitId>>>>);

#[activities]
impl Ids {
    #[activity(name = "draw")]
    async fn draw(self: Arc<Self>, ctx: ActivityContext, (): ()) -> Result<(), ActivityError> {
        let ids = ["acme", "other"].into_iter().flat_map(|tenant| {
            let tenant = TenantId::new(tenant).unwrap();
            [0, 1].map(|number| command_id(&ctx, &tenant, number).unwrap())
        });
        self.0.lock().unwrap().push(ids.collect());
        match ctx.info().attempt {
            ATTEMPTS => Ok(()),
            _ => Err(std::io::Error::other("again").into()),
        }
    }
}

#[workflow]
#[derive(Default)]
struct Draws;

#[workflow_methods]
impl Draws {
    #[run(name = "draws")]
    async fn run(ctx: &mut WorkflowContext<Self>, (): ()) -> WorkflowResult<()> {
        let pause = Duration::from_millis(1);
        let retries = RetryPolicy::builder().initial_interval(pause).backoff_coefficient(1.0).build();
        let options = ActivityOptions::with_start_to_close_timeout(Duration::from_secs(10));
        ctx.execute_activity(Ids::draw, (), options.retry_policy(retries.clone()).build()).await?;
        let options = LocalActivityOptions::builder().start_to_close_timeout(Duration::from_secs(10));
        ctx.execute_local_activity(Ids::draw, (), options.retry_policy(retries).build()).await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_has_one_id_at_every_attempt_of_its_activity() {
    let Some(server) = server() else { return };
    let client = open(&server).client().await.unwrap();
    let ids = Ids::default();
    let drawn = ids.0.clone();
    let options = WorkerOptions::new("draws").register_workflow::<Draws>().unwrap().register_activities(ids);
    let working = Working::start(client.clone(), options.build()).await;
    for workflow in ["one", "two"] {
        let started =
            client.start_workflow(Draws::run, (), WorkflowStartOptions::new("draws", workflow).build());
        started.await.unwrap().get_result(Default::default()).await.unwrap();
    }
    working.stop().await;

    // Of each workflow one activity and one local one, each with its attempts.
    let drawn = drawn.lock().unwrap();
    assert_eq!(drawn.len(), 4 * ATTEMPTS as usize);
    for attempts in drawn.chunks(ATTEMPTS as usize) {
        assert!(attempts.iter().all(|ids| *ids == attempts[0]), "{attempts:?}");
    }
    let different: BTreeSet<_> = drawn.iter().flatten().collect();
    assert_eq!(different.len(), 4 * 4, "an activity, a tenant and a number have ids of their own");
}
