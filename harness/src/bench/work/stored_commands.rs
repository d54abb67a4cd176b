//! Commands that are stored, and then done by a worker, against the same commands executed at once.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use underlay_core::TenantId;
use underlay_runtime::{Engine, EngineConfig, ExecuteError, Registry, Request, SubmitOptions};

use super::courier::TENANTS;
use super::crew::Crew;
use super::{Ground, courier};
use crate::Result;
use crate::bench::Scale;
use crate::bench::figure::{Aim, Figure, Sample};
use crate::crash::bank::{Account, AccountCommand};

/// Callers, each with accounts of its own.
const CALLERS: u64 = 64;
const ACCOUNTS_EACH: u64 = 16;
/// How long it is waited between two looks at how many are done.
const LOOK: Duration = Duration::from_millis(1);

/// How a command is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Giving {
    Execute,
    Submit,
}

pub(super) async fn measure(ground: &Ground, scale: &Scale) -> Result<Vec<Figure>> {
    let (mut stored, mut executed) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        stored.push(give(ground, scale, Giving::Submit).await?);
        executed.push(give(ground, scale, Giving::Execute).await?);
    }
    let name = format!("commands submitted and processed, {CALLERS} callers");
    let figure = Figure::new(name, "commands/s", stored)
        .with_baseline("execute", executed)
        .with_aim(Aim::RatioAtLeast(0.5));
    Ok(vec![figure])
}

/// Lets every caller give its commands, and waits until all are done.
async fn give(ground: &Ground, scale: &Scale, giving: Giving) -> Result<Sample> {
    let place = ground.place().await?;
    let crew =
        Crew::start_with(&*place, 1, || Registry::default().aggregate::<Account>(), &EngineConfig::default())
            .await?;
    let engine = crew.engine();
    let each = scale.commands / CALLERS;
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        callers.spawn(call(engine.clone(), caller, each, giving));
    }
    while let Some(called) = callers.join_next().await {
        called??;
    }
    if giving == Giving::Submit {
        while crew.done() < each * CALLERS {
            tokio::time::sleep(LOOK).await;
        }
    }
    let rate = (each * CALLERS) as f64 / begun.elapsed().as_secs_f64();
    crew.stop().await?;
    Ok(Sample::of(rate))
}

async fn call(engine: Engine, caller: u64, count: u64, giving: Giving) -> Result<()> {
    let tenant: TenantId = courier::tenant(caller % TENANTS)?;
    for turn in 0..count {
        let request = Request::new(tenant.clone());
        let id = format!("{caller}x{}", turn % ACCOUNTS_EACH);
        let command = AccountCommand::Deposit { cents: 1 };
        match giving {
            Giving::Submit => {
                engine.submit::<Account>(&request, &id, &command, SubmitOptions::default()).await?;
            }
            Giving::Execute => match engine.execute::<Account>(&request, &id, command).await {
                Ok(_) => {}
                Err(ExecuteError::Refused(refusal)) => return Err(refusal.to_string().into()),
                Err(ExecuteError::Ended(ended)) => return Err(ended.to_string().into()),
                Err(ExecuteError::Failed(error)) => return Err(error.into()),
            },
        }
    }
    Ok(())
}
