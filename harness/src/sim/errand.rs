//! What clients want of the service. A client repeats what was not answered, at whatever program, until it has an answer
//! that is certain.

use std::sync::Arc;
use std::time::Duration;

use underlay_core::{Actor, CommitId, Error, Refusal, TenantId, Timestamp};
use underlay_runtime::{
    Cancelled, Engine, ExecuteError, ExecuteNamedError, Missed, Request, ScheduleDefinition, SubmitOptions,
};

use super::bank::{Account, AccountCommand, Order, OrderCommand, Transfer};
use super::stage::Stage;
use super::world::Happening;

/// What is wanted.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Deposit {
        account: String,
        cents: i64,
    },
    Withdraw {
        account: String,
        cents: i64,
    },
    Transfer(Transfer),
    /// A deposit that is left with the store, now or for a moment.
    Submit {
        account: String,
        cents: i64,
        due_at: Option<Timestamp>,
        is_urgent: bool,
    },
    /// Takes back what another errand has submitted.
    Cancel {
        errand: usize,
    },
    Place {
        order: String,
        account: String,
        cents: i64,
    },
    PutSchedule {
        account: String,
        missed: Missed,
    },
    RemoveSchedule,
}

/// What a client heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted,
    Refused(String),
    /// It is stored, and runs later or has run.
    Submitted,
    Cancelled,
    TooLate,
    /// It is as it was wanted.
    Kept,
    /// Nobody knows, or it may work later.
    Again(String),
    /// An answer that nobody may get.
    Wrong(String),
}

/// The name of the schedule, with one for each tenant.
pub(crate) const SCHEDULE: &str = "interest";

/// An errand of a client.
#[derive(Debug)]
pub(crate) struct Errand {
    pub(crate) tenant: TenantId,
    pub(crate) wish: Wish,
    /// What the client calls it: repeats have the same.
    pub(crate) key: String,
    /// How often it was tried.
    pub(crate) tries: u32,
    /// The answer that is certain, and when the client had it.
    pub(crate) answer: Option<(Answer, i64)>,
    /// When it was tried first.
    pub(crate) began: Option<i64>,
}

impl Errand {
    /// The identity of its command.
    pub(crate) fn command_id(&self) -> CommitId {
        CommitId::from_key(&self.tenant, &self.key)
    }
}

/// Tries an errand in a program, and says what came of it.
pub(crate) async fn try_errand(
    engine: Engine,
    stage: Arc<Stage>,
    (number, try_number): (usize, u32),
    (request, cancels): (Request, Option<CommitId>),
    wish: Wish,
) {
    let answer = ask(&engine, &request, cancels, wish).await;
    stage.agenda.after(Duration::ZERO, Happening::Answered { errand: number, try_number, answer });
}

async fn ask(engine: &Engine, request: &Request, cancels: Option<CommitId>, wish: Wish) -> Answer {
    match wish {
        Wish::Deposit { account, cents } => {
            decided(engine.execute::<Account>(request, &account, AccountCommand::Deposit { cents }).await)
        }
        Wish::Withdraw { account, cents } => {
            decided(engine.execute::<Account>(request, &account, AccountCommand::Withdraw { cents }).await)
        }
        Wish::Transfer(transfer) => decided(engine.operate(request, transfer).await),
        Wish::Place { order, account, cents } => {
            decided(engine.execute::<Order>(request, &order, OrderCommand::Place { account, cents }).await)
        }
        Wish::Submit { account, cents, due_at, is_urgent } => {
            let options = SubmitOptions { due_at, urgent: is_urgent };
            let command = AccountCommand::Deposit { cents };
            match engine.submit::<Account>(request, &account, &command, options).await {
                Ok(_) => Answer::Submitted,
                Err(error) => failed(&error),
            }
        }
        Wish::Cancel { .. } => {
            let Some(command) = cancels else { return Answer::Again("it is not submitted yet".to_owned()) };
            match engine.cancel_command(&request.tenant, &Actor::default(), command, |_| true).await {
                Ok(Cancelled::Cancelled(_)) => Answer::Cancelled,
                Ok(Cancelled::TooLate(_)) => Answer::TooLate,
                Err(error) => failed(&error),
            }
        }
        Wish::PutSchedule { account, missed } => {
            let command = AccountCommand::Deposit { cents: 1 };
            let definition =
                ScheduleDefinition::command::<Account>("* * * * *", "Europe/Berlin", &account, &command);
            let definition = definition.map(|definition| ScheduleDefinition { missed, ..definition });
            match definition {
                Err(error) => failed(&error),
                Ok(definition) => match engine.put_schedule(&request.tenant, SCHEDULE, definition).await {
                    Ok(_) => Answer::Kept,
                    Err(ExecuteNamedError::Failed(error)) => failed(&error),
                    Err(error) => Answer::Wrong(error.to_string()),
                },
            }
        }
        Wish::RemoveSchedule => match engine.remove_schedule(&request.tenant, SCHEDULE).await {
            Ok(_) => Answer::Kept,
            Err(error) => failed(&error),
        },
    }
}

fn decided<T, R: Refusal>(answer: Result<T, ExecuteError<R>>) -> Answer {
    match answer {
        Ok(_) => Answer::Accepted,
        Err(ExecuteError::Refused(refusal)) => Answer::Refused(refusal.code().to_owned()),
        Err(ExecuteError::Ended(ended)) => Answer::Refused(ended.code),
        Err(ExecuteError::Failed(error)) => failed(&error),
    }
}

fn failed(error: &Error) -> Answer {
    let may_pass = error.is_retryable() || matches!(error, Error::Uncertain { .. } | Error::Conflict(_));
    match may_pass {
        true => Answer::Again(error.to_string()),
        false => Answer::Wrong(error.to_string()),
    }
}
